//! A request that may have to be sent twice: its head copied, its body kept while it is first sent,
//! up to a bound.

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use stitch_net::{Body, BoxError};

/// Largest body that is kept.
pub(crate) const MOST: usize = 64 * 1024;

/// What is needed to send a request once more.
pub(crate) struct Spare {
    head: Parts,
    body: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// What has not been read yet; `None` once it was taken back.
    rest: Option<Body>,
    seen: Vec<Bytes>,
    size: usize,
}

impl Spare {
    /// Splits a request into one to send and a spare.
    pub fn of(request: Request<Body>) -> (Request<Body>, Self) {
        let (head, body) = request.into_parts();
        if body.is_end_stream() {
            let spare = Self { head: head.clone(), body: Arc::default() };
            return (Request::from_parts(head, Body::Empty), spare);
        }
        let kept = Arc::new(Mutex::new(Kept { rest: Some(body), ..Kept::default() }));
        let spare = Self { head: head.clone(), body: kept.clone() };
        (Request::from_parts(head, Body::boxed(Keeping(kept))), spare)
    }

    /// The request as it was; `None` when more than the bound has been read already. The first
    /// sending, if it still goes on, finds its body broken off.
    pub fn take(self) -> Option<Request<Body>> {
        let mut kept = lock(&self.body);
        if kept.size > MOST {
            return None;
        }
        let rest = kept.rest.take().unwrap_or_default();
        let seen = std::mem::take(&mut kept.seen);
        drop(kept);
        Some(Request::from_parts(self.head, again(seen, rest)))
    }
}

/// A body that was read in part, whole again.
pub(crate) fn again(seen: Vec<Bytes>, rest: Body) -> Body {
    match seen.as_slice() {
        [] => rest,
        [all] if rest.is_end_stream() => Body::from(all.clone()),
        _ => Body::boxed(Replayed { seen: seen.into_iter(), rest }),
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keeping(Arc<Mutex<Kept>>);

impl HttpBody for Keeping {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut kept = lock(&self.0);
        let Some(rest) = &mut kept.rest else {
            return Poll::Ready(Some(Err("the request is answered elsewhere".into())));
        };
        let polled = Pin::new(rest).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            kept.size += data.len();
            if kept.size <= MOST {
                kept.seen.push(data.clone());
            } else {
                kept.seen = Vec::new();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).rest.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).rest.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

struct Replayed {
    seen: std::vec::IntoIter<Bytes>,
    rest: Body,
}

impl HttpBody for Replayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.seen.next() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.seen.as_slice().is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full, StreamBody};

    fn request(chunks: Vec<&'static [u8]>) -> Request<Body> {
        let frames =
            chunks.into_iter().map(|c| Ok::<_, BoxError>(Frame::data(Bytes::from_static(c))));
        let body = Body::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        Request::builder().method("PUT").uri("/x").body(body).unwrap()
    }

    async fn text(request: Request<Body>) -> String {
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_read_in_part_is_whole_again() {
        let (mut first, spare) = Spare::of(request(vec![b"one ", b"two ", b"three"]));
        first.body_mut().frame().await.unwrap().unwrap();
        first.body_mut().frame().await.unwrap().unwrap();
        let again = spare.take().unwrap();
        assert_eq!(again.method(), "PUT");
        assert_eq!(text(again).await, "one two three");
        assert!(first.body_mut().frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn an_unread_and_an_empty_body_cost_nothing() {
        let (_first, spare) = Spare::of(request(vec![b"all"]));
        assert_eq!(text(spare.take().unwrap()).await, "all");
        let empty = Request::new(Body::Empty);
        let (first, spare) = Spare::of(empty);
        assert!(matches!(first.body(), Body::Empty));
        assert!(matches!(spare.take().unwrap().body(), Body::Empty));
    }

    #[tokio::test]
    async fn past_the_bound_there_is_no_spare() {
        let big = Bytes::from(vec![b'x'; MOST + 1]);
        let (first, spare) = Spare::of(Request::new(Body::boxed(Full::new(big))));
        assert_eq!(text(first).await.len(), MOST + 1);
        assert!(spare.take().is_none());
    }
}
