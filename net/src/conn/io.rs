//! The connection's byte stream: tells the timers when bytes arrive, obeys the [`Handle`], and gives
//! back what was read ahead to see who speaks.

use super::ahead::{Ahead, ReadAhead};
use super::handle::{Ending, Handle};
use super::socket::Socket;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that a [`Handle`] can reset, close or stall.
#[derive(Debug)]
pub struct ConnIo {
    socket: Ahead<Socket>,
    handle: Handle,
}

impl ConnIo {
    /// Puts a socket under a handle.
    pub fn new(socket: impl Into<Socket>, handle: Handle) -> Self {
        Self { socket: Ahead::new(socket.into()), handle }
    }

    /// The socket beneath.
    pub fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    /// Drops so many bytes of what was read ahead: they were understood.
    pub fn consume(&mut self, bytes: usize) {
        self.socket.consume(bytes);
    }

    /// `Some` when the handle has ended the connection.
    fn check<T>(&self, cx: &Context<'_>) -> Option<Poll<io::Result<T>>> {
        match self.handle.ending()? {
            Ending::Reset => {
                // Best effort: a socket that is already gone cannot be reset any more.
                let _ = self.socket().options().set_linger(Some(Duration::ZERO));
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

    /// What a written byte means to the timers.
    fn sent<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.handle.sent();
        }
        written
    }
}

impl Drop for ConnIo {
    fn drop(&mut self) {
        // The order may have come when hyper had already done its last read and write.
        if matches!(self.handle.ending(), Some(Ending::Reset)) {
            let _ = self.socket().options().set_linger(Some(Duration::ZERO));
        }
    }
}

impl ReadAhead for ConnIo {
    fn ahead(&self) -> &[u8] {
        self.socket.ahead()
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(ended) = self.check(cx) {
            return ended;
        }
        let read = self.socket.poll_read_ahead(cx);
        if matches!(read, Poll::Ready(Ok(1..))) {
            self.handle.received();
        }
        read
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
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.handle.received();
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
        if let Some(ended) = self.check(cx) {
            return ended;
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(ended) = self.check(cx) {
            return ended;
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Ends this direction, where the other may go on: in a tunnel. HTTP drops the connection next,
    /// which ends both, and is spared a system call.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.handle.is_occupied() {
            Pin::new(&mut self.socket).poll_shutdown(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
