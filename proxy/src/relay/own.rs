//! Connections that we have made ourselves and relay bytes over, to know them when the firewall
//! redirects them back to us.

use hashbrown::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use stitch_net::conn::Socket;

/// The near ends of connections that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnConnections(Arc<Mutex<HashSet<SocketAddr>>>);

/// Keeps a connection known until it is dropped.
#[derive(Debug)]
pub(crate) struct Known {
    own: OwnConnections,
    near: Option<SocketAddr>,
}

impl OwnConnections {
    /// Makes a connection known. One per connection that is held, so its bound is theirs.
    pub(crate) fn add(&self, socket: &Socket) -> Known {
        let near = match socket {
            Socket::Tcp(stream) => stream.local_addr().ok(),
            Socket::Unix(_) => None,
        };
        if let Some(near) = near {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(near);
        }
        Known { own: self.clone(), near }
    }

    /// Whether a peer is ourselves.
    pub(crate) fn has(&self, peer: SocketAddr) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&peer)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(near) = &self.near {
            let own = &self.own.0;
            own.lock().unwrap_or_else(PoisonError::into_inner).remove(near);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_connection_is_known_while_it_is_held() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let peer = listener.accept().await.unwrap().1;
        let own = OwnConnections::default();
        assert!(!own.has(peer));
        let known = own.add(&stream.into());
        assert!(own.has(peer));
        drop(known);
        assert!(!own.has(peer));
    }
}
