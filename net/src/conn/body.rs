//! The answer's body on its way out: tells the connection's timers when the answer is over.

use super::handle::{Handle, Phase};
use crate::body::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body whose end, or drop, makes its connection idle again.
pub(super) struct Departing<B> {
    pub(super) body: B,
    pub(super) handle: Handle,
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
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
