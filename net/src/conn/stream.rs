//! What HTTP is spoken over: a connection as it is, one inside TLS, or whatever was found inside
//! another.
//!
//! An enum, so that the connection loop exists once per handler and plain connections pay for a
//! branch only.

use super::io::ConnIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

/// Anything that can be read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A client's connection as HTTP sees it.
pub enum Stream {
    /// Without TLS.
    Plain(ConnIo),
    /// Inside TLS.
    Tls(Box<TlsStream<ConnIo>>),
    /// Inside a tunnel.
    Inner(Box<dyn Duplex>),
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Stream::Plain",
            Self::Tls(_) => "Stream::Tls",
            Self::Inner(_) => "Stream::Inner",
        })
    }
}

crate::delegate_io!(Stream { Plain, Tls, Inner });
