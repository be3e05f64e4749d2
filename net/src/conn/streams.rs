//! Runs the streams of a connection of HTTP/2: each ends when it has been silent for too long, whatever
//! goes on beside it, and a tunnel in one of them can break off.
//!
//! hyper calls a handler and spawns what comes of it right afterwards; and once a handler has agreed to
//! a CONNECT, in the same poll, the task that writes to the tunnel. That is how a task is known here for
//! what it is. hyper ends a tunnel's stream in good order whenever its own end is dropped, so that an
//! answer that was cut short would look whole; dropping the task resets it.

use super::handle::{Handle, Order, Phase};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// What hyper will spawn next.
pub(super) enum Next {
    /// A request and its answer; whether anything of its body was read lately.
    Stream(Option<Arc<AtomicBool>>),
    /// The writer of a tunnel that was agreed to.
    Tunnel(Handle),
}

thread_local! {
    static NEXT: Cell<Option<Next>> = const { Cell::new(None) };
    /// Whether the stream that is being polled has moved.
    static MOVED: Cell<bool> = const { Cell::new(false) };
}

/// Says what hyper will spawn next.
pub(super) fn announce(next: Next) {
    NEXT.set(Some(next));
}

/// The stream that is being polled has moved.
pub(super) fn moved() {
    MOVED.set(true);
}

/// Spawns the streams of one connection on its worker's own thread.
#[derive(Clone, Debug)]
pub(super) struct Streams(pub(super) Handle);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, task: F) {
        match NEXT.take() {
            Some(Next::Stream(uploaded)) => {
                // Boxed: a task is moved several times on its way, and this one is large.
                tokio::spawn(answer(Box::pin(task), self.0.clone(), uploaded));
            }
            Some(Next::Tunnel(tunnel)) => {
                tokio::spawn(write(Box::pin(task), tunnel));
            }
            None => {
                tokio::spawn(task);
            }
        }
    }
}

/// Answers until nothing has moved for too long.
async fn answer(
    mut task: Pin<Box<impl Future<Output = ()>>>,
    connection: Handle,
    uploaded: Option<Arc<AtomicBool>>,
) {
    let mut own = None;
    poll_fn(|cx| {
        MOVED.set(false);
        if task.as_mut().poll(cx).is_ready() {
            // A tunnel that its client has given up in the meantime is written to by nobody.
            NEXT.take();
            return Poll::Ready(());
        }
        let moved = MOVED.get() || uploaded.as_ref().is_some_and(take);
        // Most that can be answered at once never come here.
        let own = own.get_or_insert_with(|| {
            let own = connection.stream();
            own.enter(Phase::Busy);
            own
        });
        own.register(cx);
        if moved {
            own.touch();
            own.untell(Order::Stalled);
        }
        if own.is_told(Order::Stalled) {
            tracing::debug!("A stream was silent for too long");
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// Most often nothing was uploaded, and looking is cheaper than taking.
fn take(uploaded: &Arc<AtomicBool>) -> bool {
    uploaded.load(Ordering::Relaxed) && uploaded.swap(false, Ordering::Relaxed)
}

/// Writes until the tunnel is told to end, or the client breaks it off.
async fn write(mut task: Pin<Box<impl Future<Output = ()>>>, tunnel: Handle) {
    poll_fn(|cx| {
        // Whoever tells it to end drops its side next, and so wakes this task.
        if tunnel.is_told(Order::End) { Poll::Ready(()) } else { task.as_mut().poll(cx) }
    })
    .await;
    tunnel.tell(Order::Gone);
}

/// A request's body, which may be read by another task than the one that answers.
pub(super) struct Arriving {
    pub(super) body: Incoming,
    pub(super) uploaded: Arc<AtomicBool>,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.uploaded.store(true, Ordering::Relaxed);
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
