//! The answer's body on its way out: tells the connection's timers when the answer is over, and
//! gives hyper pieces that its write buffer, which lasts as long as the connection, need not grow for.
//! The request's on its way in, of HTTP/1: tells the timers, too, and asks nobody for what is not
//! wanted any more.

use super::handle::{Ending, Handle};
use super::streams;
use crate::body::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Largest piece handed to hyper, in bytes.
const PIECE: usize = 16 * 1024;

/// A body whose drop makes its connection idle again.
pub(super) struct Departing<B> {
    pub(super) body: B,
    /// What is left of a large piece.
    pub(super) rest: Bytes,
    pub(super) answering: Answering,
    /// To an HTTP/1.0 client a body ends with its connection, so that only a reset says that it is
    /// not whole.
    pub(super) ends_by_close: bool,
}

/// Keeps the connection busy while a request is being answered.
pub(super) struct Answering {
    handle: Handle,
    /// Whether the connection answers several requests at once.
    multiplexed: bool,
}

impl Answering {
    /// The only request of its connection.
    pub(super) fn alone(handle: Handle) -> Self {
        handle.begin_half();
        Self { handle, multiplexed: false }
    }

    /// One of several.
    pub(super) fn among_others(handle: Handle) -> Self {
        handle.begin_one();
        Self { handle, multiplexed: true }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.multiplexed {
            self.handle.finish_one();
        } else {
            self.handle.finish_half();
        }
    }
}

/// The body of a request of HTTP/1. Its connection is busy until it is dropped, too: somebody may
/// read it for longer than the answer takes.
#[derive(Debug)]
pub struct Uploading {
    body: Incoming,
    handle: Handle,
}

impl Uploading {
    pub(super) fn new(body: Incoming, handle: Handle) -> Self {
        handle.begin_half();
        Self { body, handle }
    }
}

impl Body for Uploading {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.handle.finish_half();
    }
}

/// A body that its client sends when it is asked to (`expect: 100-continue`). Asked for when it has
/// been answered already, it is broken off: most clients do not send it then, and what comes instead
/// is their next request.
pub(super) struct Awaited {
    pub(super) body: Uploading,
    pub(super) asked: bool,
    pub(super) answered: Arc<AtomicBool>,
}

impl Body for Awaited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.asked && self.answered.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err("it was answered before anybody asked for it".into())));
        }
        self.asked = true;
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Departing<B> {
    fn next_piece(&mut self) -> Bytes {
        let length = self.rest.len().min(PIECE);
        self.rest.split_to(length)
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
        if !self.rest.is_empty() {
            streams::moved();
            return Poll::Ready(Some(Ok(Frame::data(self.next_piece()))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.answering.multiplexed && polled.is_ready() {
            streams::moved();
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && data.len() > PIECE
        {
            self.rest = data.clone();
            return Poll::Ready(Some(Ok(Frame::data(self.next_piece()))));
        }
        if self.ends_by_close && matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.answering.handle.end(Ending::Reset);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if !self.rest.is_empty() {
            let rest = self.rest.len() as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(rest));
            }
            hint.set_lower(hint.lower().saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn large_pieces_are_cut_and_nothing_is_lost() {
        let whole: Vec<u8> = (0..PIECE * 5 / 2).map(|at| at.to_le_bytes()[0]).collect();
        let body = crate::Body::from(whole.clone());
        let answering = Answering::alone(Handle::default());
        let (rest, ends_by_close) = (Bytes::new(), false);
        let mut departing = Departing { body, rest, answering, ends_by_close };
        let mut seen = Vec::new();
        while !departing.is_end_stream() {
            assert_eq!(departing.size_hint().exact(), Some((whole.len() - seen.len()) as u64));
            let data = departing.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(data.len() <= PIECE);
            seen.extend_from_slice(&data);
        }
        assert_eq!(seen, whole);
    }
}
