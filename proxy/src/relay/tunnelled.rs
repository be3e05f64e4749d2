//! A client's side of a tunnel: the connection itself where the tunnel has all of it, as with
//! HTTP/1, so that its socket can be reached; else one stream of it.

use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use stitch_net::conn::{Ahead, Handle, Stream, Watched};

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

stitch_net::delegate_io!(Tunnelled { Own, Within });
