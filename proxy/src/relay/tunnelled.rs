//! A client's side of a tunnel: the connection itself where the tunnel has all of it, as with
//! HTTP/1, so that its socket can be reached; else one stream of it.

use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use stitch_net::conn::{Ahead, Handle, Stream, Watched};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client has upgraded to bytes.
pub(crate) enum Tunnelled {
    /// The whole connection, and what was read of it already.
    Own(Box<Ahead<Stream>>),
    /// A part of it.
    Within(Watched<TokioIo<Upgraded>>),
}

impl Tunnelled {
    /// The handle is the tunnel's: it hears of the bytes of a part.
    pub(crate) fn new(upgraded: Upgraded, handle: &Handle) -> Self {
        match upgraded.downcast::<TokioIo<Stream>>() {
            Ok(parts) => {
                let ahead = BytesMut::from(&parts.read_buf[..]);
                Self::Own(Box::new(Ahead::with(parts.io.into_inner(), ahead)))
            }
            Err(upgraded) => Self::Within(Watched::new(TokioIo::new(upgraded), handle.clone())),
        }
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Own($stream) => $call,
            Self::Within($stream) => $call,
        }
    };
}

impl AsyncRead for Tunnelled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Tunnelled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
