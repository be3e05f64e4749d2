//! A request's body that is copied while it is sent.
//!
//! What the original's reader takes is kept for the copy's, up to a bound; the original never waits.
//! What it leaves unread, because it was answered without it, is read on for the copy alone, as fast as
//! it comes and up to the same bound: a client is held up by no copy.
//! Bytes are copied out of the pieces in which they came, so that the bound is one of memory too.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use stitch_net::{Body, BoxError};
use tokio::sync::Notify;

/// Why a copy cannot become whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// More came than is copied.
    TooLarge,
    /// The original broke off.
    BrokenOff,
}

/// Splits a body into one that is sent, one that follows it, and what becomes of that.
pub(super) fn tee(body: Body, most: u64) -> (Body, Body, Fate) {
    let expected = body.size_hint().exact();
    let state = Mutex::new(State { heard: true, ..State::default() });
    let shared = Arc::new(Shared { most, state, changed: Notify::new() });
    let original = Teeing { body, shared: Some(shared.clone()) };
    let copy = Copy { shared: shared.clone(), expected, taken: 0 };
    (Body::boxed(original), Body::boxed(copy), Fate(shared))
}

/// What becomes of a copy.
#[derive(Debug)]
pub(super) struct Fate(Arc<Shared>);

impl Fate {
    /// Waits until the copy is lost, for ever if it never is, and reads meanwhile what the original
    /// left unread. For one task.
    pub async fn lost(&self) -> Lost {
        loop {
            let rest = {
                let mut state = self.0.lock();
                if let Progress::Lost(lost) = state.progress {
                    return lost;
                }
                state.rest.take()
            };
            match rest {
                Some(body) => self.0.clone().read_on(body).await,
                None => self.0.changed.notified().await,
            }
        }
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.heard = false;
        let rest = state.rest.take();
        drop(state);
        if rest.is_some() {
            self.0.end(Progress::Lost(Lost::BrokenOff));
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// Bytes that are copied of one body.
    most: u64,
    state: Mutex<State>,
    /// The copy was lost, or there is a rest.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What the copy's reader has not taken yet.
    bytes: BytesMut,
    seen: u64,
    trailers: Option<HeaderMap>,
    progress: Progress,
    reader: Option<Waker>,
    /// Nobody reads the copy any more.
    abandoned: bool,
    /// What the original left unread.
    rest: Option<Body>,
    /// Whether there is somebody to read that.
    heard: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Going,
    Whole,
    Lost(Lost),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a piece; false when no more of them are of any use.
    fn keep(&self, data: &Bytes) -> bool {
        let mut state = self.lock();
        state.seen = state.seen.saturating_add(data.len() as u64);
        if state.abandoned {
            return false;
        }
        if state.seen > self.most {
            drop(state);
            self.end(Progress::Lost(Lost::TooLarge));
            return false;
        }
        state.bytes.extend_from_slice(data);
        wake(state);
        true
    }

    /// Takes what the original left unread.
    fn inherit(&self, rest: Body) {
        let mut state = self.lock();
        if !state.heard {
            drop(state);
            self.end(Progress::Lost(Lost::BrokenOff));
        } else if state.progress == Progress::Going && !state.abandoned {
            state.rest = Some(rest);
            self.changed.notify_one();
        }
    }

    /// Reads a rest as long as it is of use.
    async fn read_on(self: Arc<Self>, body: Body) {
        let mut rest = Teeing { body, shared: Some(self) };
        while rest.shared.is_some() {
            // How it ends is told on the way.
            rest.frame().await;
        }
    }

    fn end(&self, progress: Progress) {
        let mut state = self.lock();
        // A copy that was answered without being read to its end lacks nothing.
        if state.progress != Progress::Going || state.abandoned {
            return;
        }
        state.progress = progress;
        if progress != Progress::Whole {
            state.bytes = BytesMut::new();
            self.changed.notify_one();
        }
        wake(state);
    }
}

/// Wakes the copy's reader without holding the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

/// The original.
struct Teeing {
    body: Body,
    /// `None` once there is nothing more to tell.
    shared: Option<Arc<Shared>>,
}

impl Teeing {
    fn end(&mut self, progress: Progress) {
        if let Some(shared) = self.shared.take() {
            shared.end(progress);
        }
    }

    fn pass(&mut self, frame: &Frame<Bytes>) {
        let Some(shared) = &self.shared else { return };
        if let Some(data) = frame.data_ref() {
            if !shared.keep(data) {
                self.shared = None;
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            shared.lock().trailers = Some(trailers.clone());
        }
        // Whoever knows the length does not ask for more.
        if self.is_over() {
            self.end(Progress::Whole);
        }
    }

    fn is_over(&self) -> bool {
        self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)
    }
}

impl HttpBody for Teeing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.pass(frame),
            Poll::Ready(Some(Err(_))) => self.end(Progress::Lost(Lost::BrokenOff)),
            Poll::Ready(None) => self.end(Progress::Whole),
            Poll::Pending => {}
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

impl Drop for Teeing {
    fn drop(&mut self) {
        if self.is_over() {
            self.end(Progress::Whole);
        } else if let Some(shared) = self.shared.take() {
            shared.inherit(std::mem::take(&mut self.body));
        }
    }
}

/// The copy.
struct Copy {
    shared: Arc<Shared>,
    /// The whole length, if the original says it.
    expected: Option<u64>,
    taken: u64,
}

impl HttpBody for Copy {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.shared.lock();
        if !state.bytes.is_empty() {
            let bytes = state.bytes.split().freeze();
            drop(state);
            self.taken += bytes.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match state.progress {
            Progress::Going => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Progress::Whole => {
                Poll::Ready(state.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Progress::Lost(_) => Poll::Ready(Some(Err("the copy cannot become whole".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        state.progress == Progress::Whole && state.bytes.is_empty() && state.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.expected.map(|expected| expected.saturating_sub(self.taken));
        rest.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.abandoned = true;
        state.bytes = BytesMut::new();
    }
}

#[cfg(test)]
#[path = "teeing_tests.rs"]
mod tests;
