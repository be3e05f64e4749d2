//! The answer's body on its way out: tells the connection's timers when the answer is over.

use super::handle::{Ending, Handle, Phase};
use crate::body::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body whose end, or drop, makes its connection idle again.
pub(super) struct Departing<B> {
    pub(super) body: B,
    pub(super) handle: Handle,
    /// To an HTTP/1.0 client a body ends with its connection, so that only a reset says that it is
    /// not whole.
    pub(super) ends_by_close: bool,
}

impl<B> Drop for Departing<B> {
    fn drop(&mut self) {
        self.handle.enter(Phase::Idle);
    }
}

impl<B> Body for Departing<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.ends_by_close && matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.handle.end(Ending::Reset);
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
