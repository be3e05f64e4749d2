//! Binding: exclusive, so that a second `stitch` on the same address fails loudly.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that the kernel holds for us while the acceptor is busy.
const BACKLOG: i32 = 4096;

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The TCP address, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// A bound listener, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Bound,
    /// The address it really has; differs from the wish for port 0.
    pub address: Address,
}

#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listener that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: Address,
    /// Why not.
    pub source: io::Error,
}

impl Listener {
    /// Binds and listens. `SO_REUSEADDR` allows a restart while old connections linger; two
    /// listeners on one address still exclude each other. The file of a unix socket that nobody
    /// listens on any more is replaced.
    ///
    /// # Errors
    /// When the address is in use, not ours, or not permitted.
    pub fn bind(address: impl Into<Address>) -> Result<Self, BindError> {
        let address = address.into();
        let bound = match &address {
            Address::Tcp(address) => bind_tcp(*address),
            Address::Unix(path) => bind_unix(path),
        };
        bound.map_err(|source| BindError { address, source })
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Taken over by every connection, which saves each of them a system call.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from(socket);
    let address = Address::Tcp(socket.local_addr()?);
    Ok(Listener { socket: Bound::Tcp(socket), address })
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            Err(_) => {}
        }
    }
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(Listener { socket: Bound::Unix(socket), address: Address::Unix(path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bound_once() {
        let first = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let second = Listener::bind(first.address.clone()).unwrap_err();
        assert_eq!(second.address, first.address);
        assert_eq!(second.source.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_is_accepted_does_not_hold_back_small_writes() {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address.tcp().unwrap();
        let Bound::Tcp(socket) = listener.socket else { panic!("a TCP listener is one") };
        socket.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn a_unix_socket_is_bound_once_and_again_when_it_is_left_over() {
        let path = std::env::temp_dir().join(format!("stitch-bind-{}.sock", std::process::id()));
        let address = Address::Unix(path.clone());
        let first = Listener::bind(address.clone()).unwrap();
        let second = Listener::bind(address.clone()).unwrap_err();
        assert_eq!(second.source.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists(), "left over, as after a crash");
        drop(Listener::bind(address.clone()).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(address).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }
}
