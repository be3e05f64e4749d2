//! A request's body that may have to be sent more than once: kept while it is first sent, up to a
//! bound.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use stitch_net::{Body, BoxError};

/// Largest body that is kept.
pub(crate) const MOST: usize = 64 * 1024;

/// A body that can be sent again as long as what was read of it is within the bound.
#[derive(Debug)]
pub(crate) struct Replay {
    /// `None` for a body without bytes.
    kept: Option<Arc<Mutex<Kept>>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What has not been read yet.
    rest: Body,
    seen: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    size: usize,
    /// Which sending may read on; earlier ones find their body broken off.
    turn: u32,
    /// Nobody will want it again.
    is_let_go: bool,
}

impl Kept {
    fn is_lost(&self) -> bool {
        self.size > MOST || self.is_let_go
    }
}

impl Replay {
    pub fn of(body: Body) -> Self {
        if body.is_end_stream() {
            return Self { kept: None };
        }
        Self { kept: Some(Arc::new(Mutex::new(Kept { rest: body, ..Kept::default() }))) }
    }

    /// The body from its beginning; `None` when more than the bound has been read already. Whoever
    /// still sends it finds it broken off.
    pub fn body(&self) -> Option<Body> {
        let Some(kept) = &self.kept else { return Some(Body::Empty) };
        let mut inner = lock(kept);
        if inner.is_lost() {
            return None;
        }
        inner.turn += 1;
        let turn = inner.turn;
        let seen = u64::try_from(inner.size).unwrap_or(u64::MAX);
        let length = inner.rest.size_hint().exact().map(|rest| rest + seen);
        drop(inner);
        Some(Body::boxed(Sending { kept: kept.clone(), turn, at: 0, told: false, left: length }))
    }

    /// Whether the body can be sent again.
    pub fn is_whole(&self) -> bool {
        self.kept.as_ref().is_none_or(|kept| !lock(kept).is_lost())
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        // Who still sends it need keep no more of it: a stream of requests may have no end.
        if let Some(kept) = &self.kept {
            lock(kept).is_let_go = true;
        }
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

/// One sending of a kept body.
struct Sending {
    kept: Arc<Mutex<Kept>>,
    turn: u32,
    /// How many of the chunks seen before have been sent.
    at: usize,
    /// Whether the trailers have been sent.
    told: bool,
    /// How many bytes are still to come, if that is known.
    left: Option<u64>,
}

impl Sending {
    fn data(&mut self, data: &Bytes) -> Frame<Bytes> {
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        Frame::data(data.clone())
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let shared = self.kept.clone();
        let mut kept = lock(&shared);
        if kept.turn != self.turn {
            return Poll::Ready(Some(Err("the request is sent elsewhere by now".into())));
        }
        if let Some(data) = kept.seen.get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(self.data(data))));
        }
        if let Some(trailers) = kept.trailers.as_ref().filter(|_| !self.told) {
            let trailers = trailers.clone();
            self.told = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let polled = Pin::new(&mut kept.rest).poll_frame(cx);
        let Poll::Ready(Some(Ok(frame))) = &polled else { return polled };
        if let Some(data) = frame.data_ref() {
            kept.size += data.len();
            if kept.is_lost() {
                (kept.seen, self.at) = (Vec::new(), 0);
            } else {
                kept.seen.push(data.clone());
                self.at += 1;
            }
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        } else if let Some(trailers) = frame.trailers_ref() {
            kept.trailers = Some(trailers.clone());
            self.told = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let kept = lock(&self.kept);
        let trailers = kept.trailers.is_some() && !self.told;
        self.at >= kept.seen.len() && !trailers && kept.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
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
    use http::HeaderValue;
    use http_body_util::{BodyExt, Full, StreamBody};

    fn chunks(chunks: &[&'static [u8]]) -> Body {
        let frames: Vec<_> =
            chunks.iter().map(|c| Ok::<_, BoxError>(Frame::data(Bytes::from_static(c)))).collect();
        Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn text(body: Body) -> String {
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_read_in_part_is_whole_again_as_often_as_need_be() {
        let replay = Replay::of(chunks(&[b"one ", b"two ", b"three"]));
        let mut first = replay.body().unwrap();
        first.frame().await.unwrap().unwrap();
        let mut second = replay.body().unwrap();
        assert!(first.frame().await.unwrap().is_err(), "it is sent elsewhere");
        for expected in ["one ", "two "] {
            let frame = second.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), expected);
        }
        assert_eq!(text(replay.body().unwrap()).await, "one two three");
        assert_eq!(text(replay.body().unwrap()).await, "one two three");
    }

    #[tokio::test]
    async fn trailers_and_the_length_are_told_each_time() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let body = Full::new(Bytes::from_static(b"12345"));
        let with = body.with_trailers(std::future::ready(Some(Ok(trailers.clone()))));
        let replay = Replay::of(Body::boxed(with));
        for _ in 0..2 {
            let body = replay.body().unwrap().collect().await.unwrap();
            assert_eq!(body.trailers(), Some(&trailers));
            assert_eq!(body.to_bytes(), "12345");
        }
        let replay = Replay::of(Body::from("12345"));
        let mut first = replay.body().unwrap();
        assert_eq!(first.size_hint().exact(), Some(5));
        first.frame().await.unwrap().unwrap();
        assert_eq!((first.size_hint().exact(), first.is_end_stream()), (Some(0), true));
        assert_eq!(replay.body().unwrap().size_hint().exact(), Some(5));
    }

    #[tokio::test]
    async fn nothing_more_is_kept_once_it_will_not_be_sent_again() {
        let replay = Replay::of(chunks(&[b"one ", b"two ", b"three"]));
        let mut body = replay.body().unwrap();
        body.frame().await.unwrap().unwrap();
        let mut again = replay.body().unwrap();
        let kept = replay.kept.clone().unwrap();
        drop(replay);
        assert_eq!(again.frame().await.unwrap().unwrap().into_data().unwrap(), "one ");
        assert_eq!(again.frame().await.unwrap().unwrap().into_data().unwrap(), "two ");
        assert!(lock(&kept).seen.is_empty());
        assert_eq!(text(again).await, "three");
    }

    #[tokio::test]
    async fn an_unread_and_an_empty_body_cost_nothing() {
        let replay = Replay::of(chunks(&[b"all"]));
        drop(replay.body());
        assert_eq!(text(replay.body().unwrap()).await, "all");
        let empty = Replay::of(Body::Empty);
        assert!(matches!(empty.body(), Some(Body::Empty)));
        assert!(matches!(empty.body(), Some(Body::Empty)));
    }

    #[tokio::test]
    async fn past_the_bound_it_is_sent_on_but_not_again() {
        let half = Bytes::from(vec![b'x'; MOST]);
        let frames = [half.clone(), half].map(|data| Ok::<_, BoxError>(Frame::data(data)));
        let replay = Replay::of(Body::boxed(StreamBody::new(futures_util::stream::iter(frames))));
        let first = replay.body().unwrap();
        assert!(replay.is_whole());
        assert_eq!(text(first).await.len(), 2 * MOST);
        assert!(!replay.is_whole() && replay.body().is_none());
    }
}
