//! A connection to an endpoint: a socket as it is, or one inside TLS.

use super::own::Known;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Waker};
use stitch_net::conn::Socket;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio_rustls::client::TlsStream;

/// What an endpoint is spoken to over.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    _known: Option<Known>,
}

#[derive(Debug)]
pub(super) enum Stream {
    /// Without TLS.
    Plain(Socket),
    /// Inside TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Wire {
    /// A connection that is known for ours as long as it is held.
    pub(super) fn new(stream: Stream, known: Option<Known>) -> Self {
        Self { stream, _known: known }
    }

    /// The socket, if what is said on it is said as it is.
    pub(crate) fn bare(&self) -> Option<&Socket> {
        match &self.stream {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(_) => None,
        }
    }

    /// The socket beneath.
    pub fn socket(&self) -> &Socket {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The address at the other end; none for unix sockets.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self.socket() {
            Socket::Tcp(stream) => stream.peer_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Whether TLS settled on HTTP/2.
    pub fn is_h2(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Whether it was closed, or said something, while nothing was asked. Costs no system call in
    /// the usual case, and so can miss a close that the reactor has not seen yet.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        match &mut self.stream {
            Stream::Plain(socket) => {
                let read = socket.try_read(&mut byte);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            // Only TLS can tell its own messages, session tickets say, from data.
            Stream::Tls(stream) => {
                let (mut cx, mut buf) =
                    (Context::from_waker(Waker::noop()), ReadBuf::new(&mut byte));
                Pin::new(stream).poll_read(&mut cx, &mut buf).is_pending()
            }
        }
    }
}

impl From<Socket> for Wire {
    fn from(socket: Socket) -> Self {
        Self::new(Stream::Plain(socket), None)
    }
}

stitch_net::delegate_io!(Stream { Plain, Tls });

stitch_net::delegate_io!(Wire[stream]);
