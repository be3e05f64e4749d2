//! Runs the streams of a connection of HTTP/2, and lets a tunnel in one of them break off.
//!
//! hyper ends the stream of a tunnel in good order whenever its own end is dropped, so that an answer
//! that was cut short would look whole. The task that writes to the stream is run here: dropped, it
//! resets the stream. hyper starts it right after a handler has agreed to a CONNECT, in the same poll,
//! which is how the two find each other.

use super::handle::{Handle, Order};
use hyper::rt::Executor;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    /// The tunnel that a handler of this thread has just agreed to.
    static AGREED: Cell<Option<Handle>> = const { Cell::new(None) };
}

/// The next task is the writer of this tunnel, or with `None` that of no tunnel.
pub(super) fn agree(tunnel: Option<Handle>) {
    AGREED.set(tunnel);
}

/// Spawns on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, task: F) {
        match AGREED.take() {
            None => tokio::spawn(task),
            Some(tunnel) => tokio::spawn(write(task, tunnel)),
        };
    }
}

/// Writes until the tunnel is told to end, or the client breaks it off.
async fn write(task: impl Future<Output = ()>, tunnel: Handle) {
    let mut task = pin!(task);
    poll_fn(|cx| {
        // Whoever tells it to end drops its side next, and so wakes this task.
        if tunnel.is_told(Order::End) { Poll::Ready(()) } else { task.as_mut().poll(cx) }
    })
    .await;
    tunnel.tell(Order::Gone);
}
