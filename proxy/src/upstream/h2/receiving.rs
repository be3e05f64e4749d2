//! The body of an answer that is still coming, and its trailers.

use super::pool::Place;
use crate::upstream::{ExchangeError, trailers};
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::AbortHandle;

/// An answer's body, read as fast as it is taken. Dropped before its end, it cancels the exchange.
#[derive(Debug)]
pub(super) struct Receiving {
    stream: RecvStream,
    data_ended: bool,
    /// Bytes to come, where the head said so.
    length: Option<u64>,
    _sender: Option<Sender>,
    place: Place,
}

/// The task that sends the rest of a request. Aborted when dropped: an answer that is over, or not
/// wanted, ends the exchange.
#[derive(Debug)]
pub(super) struct Sender(pub AbortHandle);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Receiving {
    pub fn new(
        stream: RecvStream,
        length: Option<u64>,
        sender: Option<Sender>,
        mut place: Place,
    ) -> Self {
        place.moved();
        Self { stream, data_ended: false, length, _sender: sender, place }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if self.stream.is_end_stream() {
            self.place.finish();
        }
    }
}

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.place.moved();
                    // What is handed on makes room; who takes it slowly asks slowly.
                    self.stream.flow_control().release_capacity(data.len())?;
                    if let Some(length) = &mut self.length {
                        *length = length.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        let trailers = trailers.and_then(trailers::clean);
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}
