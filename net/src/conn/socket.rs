//! What a connection is made of below TLS and HTTP: a TCP or a unix socket.

use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected stream socket.
#[derive(Debug)]
pub enum Socket {
    /// Over IP.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
}

impl Socket {
    /// Options and calls that tokio does not know.
    pub fn options(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    /// Where the connection was going before the firewall of this machine redirected it.
    ///
    /// # Errors
    /// When it was not redirected, or nothing keeps account of that.
    pub fn original_destination(&self) -> io::Result<SocketAddr> {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(stream) = self {
            let options = self.options();
            let over_v4 = stream.local_addr()?.ip().to_canonical().is_ipv4();
            let original =
                if over_v4 { options.original_dst_v4() } else { options.original_dst_v6() };
            return original?.as_socket().ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether there is something to read, the end included.
    ///
    /// # Errors
    /// When the socket is broken.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Resolves when there is something to read, the end included.
    ///
    /// # Errors
    /// When the reactor is gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Resolves when something can be written.
    ///
    /// # Errors
    /// When the reactor is gone.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Does something with the socket that tokio does not know. When that would have to wait, the
    /// socket is not ready any more.
    ///
    /// # Errors
    /// What `work` says.
    pub fn try_io<T>(
        &self,
        interest: Interest,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, work),
            Self::Unix(stream) => stream.try_io(interest, work),
        }
    }

    /// Reads what is there without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(bytes),
            Self::Unix(stream) => stream.try_read(bytes),
        }
    }
}

crate::delegate_io!(Socket { Tcp, Unix });

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}
