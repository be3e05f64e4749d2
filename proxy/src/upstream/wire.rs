//! A connection to an endpoint: a socket as it is, or one inside TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Waker};
use stitch_net::conn::Socket;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio_rustls::client::TlsStream;

/// What an endpoint is spoken to over.
#[derive(Debug)]
pub enum Wire {
    /// Without TLS.
    Plain(Socket),
    /// Inside TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Wire {
    /// The socket beneath.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
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
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Whether it was closed, or said something, while nothing was asked. Costs no system call in
    /// the usual case, and so can miss a close that the reactor has not seen yet.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        match self {
            Self::Plain(socket) => {
                let read = socket.try_read(&mut byte);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            // Only TLS can tell its own messages, session tickets say, from data.
            Self::Tls(stream) => {
                let (mut cx, mut buf) =
                    (Context::from_waker(Waker::noop()), ReadBuf::new(&mut byte));
                Pin::new(stream).poll_read(&mut cx, &mut buf).is_pending()
            }
        }
    }
}

impl From<Socket> for Wire {
    fn from(socket: Socket) -> Self {
        Self::Plain(socket)
    }
}

stitch_net::delegate_io!(Wire { Plain, Tls });
