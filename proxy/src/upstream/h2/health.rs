//! Whether a connection is still one. A router that forgets a flow tells nobody: what is sent is lost,
//! and the system tries again for a quarter of an hour.
//!
//! A connection is doubted when an exchange on it was given up and nothing at all has been heard since
//! that began. It gets no new exchanges until something is, for which it is asked once (PING).

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Health {
    /// How often something was read.
    heard: AtomicUsize,
    /// The same at the time of the last doubt.
    doubted: AtomicUsize,
    ask: Notify,
}

impl Default for Health {
    fn default() -> Self {
        let (heard, doubted) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { heard, doubted, ask: Notify::new() }
    }
}

impl Health {
    /// How often something was heard.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// An exchange was given up for which something was last heard then.
    pub fn doubt(&self, then: usize) {
        if then == self.heard() && self.doubted.swap(then, Ordering::Relaxed) != then {
            self.ask.notify_one();
        }
    }

    /// Whether nothing has been heard since the last doubt.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed) == self.heard()
    }

    /// Asks whenever there is a doubt; one question at a time.
    pub async fn ask(&self, questions: Option<h2::PingPong>) {
        let Some(mut questions) = questions else { return pending().await };
        loop {
            self.ask.notified().await;
            if questions.ping(h2::Ping::opaque()).await.is_err() {
                // The connection is over, which others tell.
                return pending().await;
            }
        }
    }
}

/// A stream that tells what it hears.
#[derive(Debug)]
pub(super) struct Heard<S> {
    stream: S,
    health: Arc<Health>,
}

impl<S> Heard<S> {
    pub fn new(stream: S, health: Arc<Health>) -> Self {
        Self { stream, health }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.health.heard.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn a_doubt_lasts_until_something_is_heard() {
        let health = Arc::new(Health::default());
        assert!(!health.is_doubted());
        health.doubt(0);
        assert!(health.is_doubted());
        let mut heard = Heard::new(&b"ab"[..], health.clone());
        heard.read_u8().await.unwrap();
        assert!(!health.is_doubted());
        // Something has been heard since that exchange began.
        health.doubt(0);
        assert!(!health.is_doubted());
        health.doubt(1);
        assert!(health.is_doubted());
    }
}
