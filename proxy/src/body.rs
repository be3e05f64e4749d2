//! The answer's body on its way to the caller: counts its bytes and closes the call at its end.

use crate::flow::Ongoing;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use stitch_net::{Body, BoxError};

/// The body of every answer that leaves the proxy.
#[derive(Debug)]
pub struct Outgoing {
    body: Body,
    /// Dropped at the end, or early when the caller goes away. Answers that are as good as sent have
    /// none any more.
    call: Option<Box<Ongoing>>,
}

impl Outgoing {
    /// A body whose call is over.
    pub(crate) fn settled(body: Body) -> Self {
        Self { body, call: None }
    }

    pub(crate) fn new(body: Body, call: Box<Ongoing>) -> Self {
        let call = (!body.is_end_stream()).then_some(call);
        Self { body, call }
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
                    call.sent(data.len() as u64);
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
