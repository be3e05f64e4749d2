//! A tunnel's end towards its client: its bytes keep a timer going, and what is broken off never looks
//! like an end.

use super::handle::{Ending, Handle, Order};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose bytes are told to a handle. Dropped before it was shut down, it is broken off.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    handle: Handle,
    /// Whether we have said that we are done.
    shut: bool,
    /// Whether the client's end has been waited with.
    hesitated: bool,
}

impl<S> Watched<S> {
    /// A stream and the handle that hears of its bytes.
    pub fn new(stream: S, handle: Handle) -> Self {
        Self { stream, handle, shut: false, hesitated: false }
    }

    /// Whether an end that was read is none: hyper takes a stream of HTTP/2 that its client breaks off
    /// (`CANCEL`) for one that has ended. The task that writes to it knows better, once it has run.
    fn is_broken(&mut self, cx: &Context<'_>) -> Poll<bool> {
        if self.shut {
            return Poll::Ready(false);
        }
        if !self.handle.is_told(Order::Gone) && !self.hesitated {
            self.hesitated = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.handle.is_told(Order::Gone))
    }

    fn sent<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.handle.sent();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.handle.received();
        } else if buf.remaining() > 0 && ready!(self.is_broken(cx)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        if !self.shut {
            self.handle.end(Ending::Close);
        }
    }
}
