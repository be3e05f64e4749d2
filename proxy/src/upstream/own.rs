//! Connections that this process has made, to know them when the firewall redirects them back to it.
//!
//! Only kept where something is redirected here: anybody else pays for no more than a look.

use hashbrown::HashSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use stitch_net::conn::Socket;

/// The ends of connections that are open. One per connection that is held, so its bound is theirs.
static OPEN: OnceLock<Mutex<HashSet<Ends>>> = OnceLock::new();

/// The near end and the far end: two connections may share either, but not both.
type Ends = (SocketAddr, SocketAddr);

/// Keeps a connection known until it is dropped.
#[derive(Debug)]
pub(super) struct Known(Box<Ends>);

/// From here on connections are known.
pub(crate) fn watch_own() {
    OPEN.get_or_init(Mutex::default);
}

/// Makes a connection known, if anybody wants to know.
pub(super) fn know(socket: &Socket) -> Option<Known> {
    OPEN.get()?;
    let Socket::Tcp(stream) = socket else { return None };
    let ends = ends(stream.local_addr().ok()?, stream.peer_addr().ok()?);
    open()?.insert(ends);
    Some(Known(Box::new(ends)))
}

/// Whether a connection from `near` that was going to `far` is one of this process.
pub(crate) fn is_own(near: SocketAddr, far: SocketAddr) -> bool {
    open().is_some_and(|open| open.contains(&ends(near, far)))
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(mut open) = open() {
            open.remove(&*self.0);
        }
    }
}

fn open() -> Option<MutexGuard<'static, HashSet<Ends>>> {
    Some(OPEN.get()?.lock().unwrap_or_else(PoisonError::into_inner))
}

/// As both sides see them: an IPv6 socket may stand for IPv4, and the rest of an address is local.
fn ends(near: SocketAddr, far: SocketAddr) -> Ends {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    (plain(near), plain(far))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_connection_is_known_while_it_is_held() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let far = listener.local_addr().unwrap();
        let socket = TcpStream::connect(far).await.unwrap().into();
        let near = listener.accept().await.unwrap().1;
        watch_own();
        assert!(!is_own(near, far));
        let known = know(&socket);
        assert!(is_own(near, far));
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), near.port());
        assert!(is_own(mapped, far));
        assert!(!is_own(near, near), "it goes elsewhere from the same port");
        drop(known);
        assert!(!is_own(near, far));
    }
}
