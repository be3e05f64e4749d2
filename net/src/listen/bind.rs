//! Binding: exclusive, so that a second `stitch` on the same port fails loudly.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that the kernel holds for us while the acceptor is busy.
const BACKLOG: i32 = 4096;

/// A bound listener, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    /// The address it really has; differs from the wish for port 0.
    pub address: SocketAddr,
}

/// A listener that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

impl Listener {
    /// Binds and listens. `SO_REUSEADDR` allows a restart while old connections linger; two
    /// listeners on one address still exclude each other.
    ///
    /// # Errors
    /// When the address is in use, not ours, or not permitted.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::try_bind(address).map_err(|source| BindError { address, source })
    }

    fn try_bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bound_once() {
        let first = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let second = Listener::bind(first.address).unwrap_err();
        assert_eq!(second.address, first.address);
        assert_eq!(second.source.kind(), io::ErrorKind::AddrInUse);
    }
}
