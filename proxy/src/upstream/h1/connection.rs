//! A socket to an endpoint and what was read from it ahead of need.

use super::pool;
use crate::upstream::Wire;
use bytes::BytesMut;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::io::poll_read_buf;

/// Room made for a read at first, in bytes.
const LEAST: usize = 8 * 1024;
/// Most room made for a read, in bytes. Bodies that come in bulk cost less in large pieces.
const MOST: usize = 256 * 1024;

/// One connection, between exchanges or in one.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: Wire,
    /// Read and not yet understood; empty between exchanges.
    pub(super) input: BytesMut,
    /// For who waits, but not for ever. Kept from one exchange to the next as it is: to be woken once
    /// too early is cheaper than to put it off for each of them, and a new one is dearer still.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// A connection that nothing was sent on.
    pub fn new(stream: Wire) -> Self {
        Self { stream, input: BytesMut::new(), timer: None }
    }

    /// Whether a request may be sent on it after it was idle. Costs no system call, and so can miss a
    /// close that the reactor has not seen yet.
    pub fn seems_alive(&mut self) -> bool {
        // Bytes that nobody asked for are as bad as an end.
        self.stream.is_quiet()
    }

    /// The same, asked of the system: for requests that could not be sent again.
    pub fn is_alive(&self) -> bool {
        let peeked = self.stream.socket().options().peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gives the connection back after its exchange: to the pool, if it can carry another one.
    pub(super) fn keep(mut self, endpoint: u64, persists: bool) {
        if persists && self.input.is_empty() {
            if self.input.capacity() > LEAST {
                // A body's large buffer is not kept for the next head.
                self.input = BytesMut::new();
            }
            pool::put(endpoint, self);
        }
    }

    /// Ready when that time has come.
    pub(super) fn poll_late(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at || timer.is_elapsed() {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= at {
            return Poll::Ready(());
        }
        timer.as_mut().reset(at);
        timer.as_mut().poll(cx)
    }

    /// Reads more input; 0 bytes are the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        fill(&mut self.stream, &mut self.input, LEAST, cx)
    }
}

/// How much room to make for the next read: twice as much after each that filled it.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Room {
    /// Room for a body of which at least so many bytes are to come.
    pub fn new(left: u64) -> Self {
        Self(usize::try_from(left).map_or(MOST, |left| left.clamp(LEAST, MOST)))
    }

    pub fn bytes(&self) -> usize {
        self.0
    }

    /// Learns from a read.
    pub fn was_read(&mut self, bytes: usize) {
        if bytes >= self.0 {
            self.0 = (self.0 * 2).min(MOST);
        }
    }
}

/// Reads into the buffer's spare room, of which there is some `room` afterwards.
pub(super) fn fill<S: tokio::io::AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    room: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if input.capacity() - input.len() < room / 2 {
        input.reserve(room);
    }
    poll_read_buf(Pin::new(stream), cx, input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;
    use stitch_net::conn::Socket;

    #[tokio::test(start_paused = true)]
    async fn a_kept_timer_ends_each_wait_at_its_own_time() {
        let (socket, _peer) = tokio::net::UnixStream::pair().unwrap();
        let mut connection = Connection::new(Wire::from(Socket::from(socket)));
        let later = |millis| Instant::now() + Duration::from_millis(millis);
        // How long each exchange may take, and whether it does.
        for (millis, lasts) in
            [(3000, true), (1000, false), (5000, true), (9000, false), (2000, true), (1, true)]
        {
            let at = later(millis);
            if lasts {
                poll_fn(|cx| connection.poll_late(at, cx)).await;
                assert_eq!(Instant::now(), at, "{millis}");
            } else {
                let polled = poll_fn(|cx| Poll::Ready(connection.poll_late(at, cx))).await;
                assert!(polled.is_pending(), "{millis}");
            }
        }
    }
}
