//! Reading ahead: bytes that are looked at to see who speaks, and then given back.

use bytes::{Buf as _, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Room for one read ahead, in bytes: most requests and every usual ClientHello fit.
const ROOM: usize = 2048;

/// A stream that can be read ahead.
pub trait ReadAhead {
    /// What has been read ahead so far.
    fn ahead(&self) -> &[u8];

    /// Reads further ahead; 0 bytes are the end of the stream.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}

/// A stream and what was read of it ahead.
#[derive(Debug)]
pub struct Ahead<S> {
    stream: S,
    /// Given back before anything else.
    ahead: BytesMut,
}

impl<S> Ahead<S> {
    /// A stream of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: BytesMut::new() }
    }

    /// A stream of which so much was read.
    pub fn with(stream: S, ahead: BytesMut) -> Self {
        Self { stream, ahead }
    }

    /// The stream beneath.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Drops so many bytes of what was read ahead: they were understood.
    pub fn consume(&mut self, bytes: usize) {
        self.ahead.advance(bytes);
    }
}

impl<S: AsyncRead + Unpin> ReadAhead for Ahead<S> {
    fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // On the stack, so that a connection that says nothing holds no buffer.
        let mut bytes = [0; ROOM];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..length]);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
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
