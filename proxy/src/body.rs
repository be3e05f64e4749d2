//! The answer's body on its way to the caller: counts its bytes and closes the call at its end.

use crate::flow::Call;
use crate::upstream::InFlight;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use stitch_net::{Body, BoxError};

/// What an answer holds on to until its body has ended.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The request's place in its endpoint's load.
    pub in_flight: Option<InFlight>,
}

/// The body of every answer that leaves the proxy.
#[derive(Debug)]
pub struct Outgoing {
    body: Body,
    /// Dropped at the end, or early when the caller goes away.
    call: Option<Box<Call>>,
}

impl Outgoing {
    pub(crate) fn new(body: Body, call: Box<Call>) -> Self {
        let mut outgoing = Self { body, call: Some(call) };
        if outgoing.body.is_end_stream() {
            outgoing.call = None;
        }
        outgoing
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(call)) = (frame.data_ref(), &mut self.call) {
                    call.record.bytes += data.len() as u64;
                }
                if self.body.is_end_stream() {
                    self.call = None;
                }
            }
            Poll::Ready(None) => self.call = None,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
