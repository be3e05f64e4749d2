//! The beginning of TLS: whom a client asks for, and the handshake, under the connection's timers.

use super::ahead::ReadAhead;
use super::handle::Handle;
use super::opening::{Unopened, read_until};
use crate::tls::{Sniffed, explain_accept, sniff};
use rustls::ServerConfig;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Reads ahead until it is known whom a client asks for, or that it does not begin TLS after all.
///
/// # Errors
/// See [`Unopened`].
pub async fn read_hello(io: &mut impl ReadAhead, handle: &Handle) -> Result<Sniffed, Unopened> {
    let look = |bytes: &[u8]| match sniff(bytes) {
        Sniffed::NeedMore => None,
        told => Some(told),
    };
    read_until(io, handle, look).await
}

/// Ends TLS here.
///
/// # Errors
/// In words, when the handshake fails or is not finished in time.
pub async fn terminate<Io: AsyncRead + AsyncWrite + Unpin>(
    io: Io,
    handle: &Handle,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<Io>, Cow<'static, str>> {
    tokio::select! {
        accepted = TlsAcceptor::from(config).accept(io) => {
            accepted.map_err(|error| explain_accept(&error))
        }
        () = handle.interrupted() => Err("the TLS handshake was not finished in time".into()),
    }
}

/// Whether the handshake settled on HTTP/2.
pub fn chose_h2<Io>(stream: &TlsStream<Io>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
