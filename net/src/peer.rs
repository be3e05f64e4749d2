//! Who is on the other side of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

/// The two ends of a connection and what is known about the caller. One per connection, shared by
/// its requests, and handed to the handler beside each of them: a typed extension would cost every
/// request an allocation.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address of the other side; a loopback address without a port for unix sockets.
    pub remote: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// Where the connection was going before interception; `None` unless it was redirected.
    pub original_destination: Option<SocketAddr>,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// The identity of its TLS certificate.
    pub tls_identity: Option<Arc<str>>,
    /// The same certificate as `x-forwarded-client-cert` tells of it.
    pub tls_certificate: Option<Arc<str>>,
    /// Which service is calling, when the connection itself tells.
    pub caller: Option<Arc<str>>,
    /// A hold on the connection, for answers that are not HTTP.
    pub connection: crate::conn::Handle,
}

impl Peer {
    /// A peer of whom nothing is known but its connection.
    pub fn new(remote: SocketAddr, local: SocketAddr, connection: crate::conn::Handle) -> Self {
        Self {
            remote,
            local,
            original_destination: None,
            secure: false,
            tls_identity: None,
            tls_certificate: None,
            caller: None,
            connection,
        }
    }
}
