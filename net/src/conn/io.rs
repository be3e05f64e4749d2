//! The connection's byte stream: tells the timers when bytes arrive and obeys the [`Handle`].

use super::handle::{Ending, Handle, Phase};
use socket2::SockRef;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket that a [`Handle`] can reset, close or stall.
#[derive(Debug)]
pub struct ConnIo {
    stream: TcpStream,
    handle: Handle,
}

impl ConnIo {
    /// Puts a socket under a handle.
    pub fn new(stream: TcpStream, handle: Handle) -> Self {
        Self { stream, handle }
    }

    /// `Some` when the handle has ended the connection.
    fn check<T>(&self, cx: &Context<'_>) -> Option<Poll<io::Result<T>>> {
        match self.handle.ending()? {
            Ending::Reset => {
                // Best effort: a socket that is already gone cannot be reset any more.
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                Some(Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())))
            }
            Ending::Close => Some(Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))),
            // The connection loop writes the bytes; nothing more is read meanwhile.
            Ending::Raw(_) => None,
            Ending::Stall => {
                self.handle.register(cx);
                Some(Poll::Pending)
            }
        }
    }
}

impl Drop for ConnIo {
    fn drop(&mut self) {
        // The order may have come when hyper had already done its last read and write.
        if matches!(self.handle.ending(), Some(Ending::Reset)) {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for ConnIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(ended) = self.check(cx) {
            return ended;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && self.handle.phase() == Phase::Idle {
            self.handle.enter(Phase::Header);
        }
        read
    }
}

impl AsyncWrite for ConnIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.check(cx) {
            Some(ended) => ended,
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
