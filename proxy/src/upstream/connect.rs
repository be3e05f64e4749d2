//! One new connection to an endpoint, every address tried in turn and TLS begun within one limit.

use super::endpoint::{Endpoint, Tls};
use super::wire::{Stream, Wire};
use super::{own, resolve};
use smallvec::smallvec;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stitch_config::model::UpstreamAddress;
use stitch_net::conn::Socket;
use stitch_net::tls::explain_connect;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// What is offered to an endpoint that speaks TLS (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/2 and HTTP/1.1.
    Http,
    /// HTTP/1.1 alone.
    Http1,
    /// Nothing: the bytes are not ours.
    Bytes,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The name does not resolve.
    Dns(io::Error),
    /// No address answered; the last one tried and what it said.
    Refused(SocketAddr, io::Error),
    /// The unix socket does not let us in.
    Unix(PathBuf, io::Error),
    /// Too slow; the address that was being tried, if resolution got that far.
    Timeout(Option<SocketAddr>, Duration),
    /// None of its addresses may be reached; one of them.
    Denied(SocketAddr),
    /// There is no TLS with it, in words.
    Tls(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(_) => write!(f, "the name does not resolve"),
            Self::Refused(address, error) => write!(f, "{address} {}", plain(error)),
            Self::Unix(path, error) => write!(f, "{} {}", path.display(), plain(error)),
            Self::Timeout(Some(address), limit) => {
                write!(f, "{address} did not answer within {limit:?}")
            }
            Self::Timeout(None, limit) => write!(f, "it did not answer within {limit:?}"),
            Self::Denied(address) => write!(f, "{address} may not be reached"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Dns(error) | Self::Refused(_, error) | Self::Unix(_, error) => Some(error),
            Self::Timeout(..) | Self::Denied(_) | Self::Tls(_) => None,
        }
    }
}

/// The usual causes in words.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        io::ErrorKind::HostUnreachable => "is unreachable (no route to host)".to_owned(),
        io::ErrorKind::NetworkUnreachable => "is unreachable (no network)".to_owned(),
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be used by this user".to_owned(),
        _ => format!("cannot be reached: {error}"),
    }
}

/// Connects within `limit`, name resolution and TLS included.
///
/// # Errors
/// See [`ConnectError`]. Dropping the future abandons the attempt.
pub async fn connect(
    endpoint: &Endpoint,
    offer: Offer,
    limit: Duration,
) -> Result<Wire, ConnectError> {
    connect_saying(&[], endpoint, offer, limit).await
}

/// Connects in the same way, and says something before anything else, TLS included.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect_saying(
    first: &[u8],
    endpoint: &Endpoint,
    offer: Offer,
    limit: Duration,
) -> Result<Wire, ConnectError> {
    let deadline = Instant::now() + limit;
    let mut socket = match &endpoint.address {
        UpstreamAddress::Host { host, port } => {
            Socket::Tcp(connect_tcp(endpoint, host, *port, deadline, limit).await?)
        }
        UpstreamAddress::Unix(path) => Socket::Unix(connect_unix(path, deadline, limit).await?),
    };
    // Before the first byte, which may be what comes back to us.
    let known = own::know(&socket);
    if !first.is_empty() {
        say(first, endpoint, &mut socket, deadline, limit).await?;
    }
    match &endpoint.tls {
        None if endpoint.scheme.is_tls() => {
            Err(ConnectError::Tls(format!("nothing is known about whom to trust at {endpoint}")))
        }
        None => Ok(Wire::new(Stream::Plain(socket), known)),
        Some(tls) => {
            let stream = secure(tls, socket, offer, deadline, limit).await?;
            Ok(Wire::new(stream, known))
        }
    }
}

async fn connect_tcp(
    endpoint: &Endpoint,
    host: &str,
    port: u16,
    deadline: Instant,
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let found = match endpoint.pinned() {
        Some(ip) => Ok(Ok(smallvec![ip])),
        None => timeout_at(deadline, resolve::resolve(host)).await,
    };
    let addresses = match found {
        Err(_elapsed) => return Err(ConnectError::Timeout(None, limit)),
        Ok(Err(error)) => return Err(ConnectError::Dns(error)),
        Ok(Ok(addresses)) => addresses,
    };
    let mut last = None;
    for ip in addresses {
        let address = SocketAddr::new(ip, port);
        if endpoint.guard.as_ref().is_some_and(|guard| !guard.allows(ip, port)) {
            last.get_or_insert(ConnectError::Denied(address));
            continue;
        }
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A socket that cannot be told is a socket that is about to fail anyway.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            // `localhost` has two addresses; the refusal that tells most is the first one's.
            Ok(Err(error)) => match last {
                Some(ConnectError::Refused(..)) => {}
                _ => last = Some(ConnectError::Refused(address, error)),
            },
            Err(_elapsed) => {
                lost(endpoint, host);
                return Err(ConnectError::Timeout(Some(address), limit));
            }
        }
    }
    lost(endpoint, host);
    Err(last.unwrap_or_else(|| ConnectError::Dns(io::ErrorKind::NotFound.into())))
}

/// Has the name asked for anew.
fn lost(endpoint: &Endpoint, host: &str) {
    resolve::forget(host);
    endpoint.is_unreachable();
}

async fn connect_unix(
    path: &Path,
    deadline: Instant,
    limit: Duration,
) -> Result<UnixStream, ConnectError> {
    match timeout_at(deadline, UnixStream::connect(path)).await {
        Ok(connected) => connected.map_err(|error| ConnectError::Unix(path.to_owned(), error)),
        Err(_elapsed) => Err(ConnectError::Timeout(None, limit)),
    }
}

/// Writes on a socket that has just been connected.
async fn say(
    bytes: &[u8],
    endpoint: &Endpoint,
    socket: &mut Socket,
    deadline: Instant,
    limit: Duration,
) -> Result<(), ConnectError> {
    let address = address_of(socket);
    match timeout_at(deadline, socket.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Err(_elapsed) => Err(ConnectError::Timeout(address, limit)),
        Ok(Err(error)) => Err(match (&endpoint.address, address) {
            (UpstreamAddress::Unix(path), _) => ConnectError::Unix(path.clone(), error),
            (_, Some(address)) => ConnectError::Refused(address, error),
            // Not even an address is left of it.
            (_, None) => ConnectError::Dns(error),
        }),
    }
}

fn address_of(socket: &Socket) -> Option<SocketAddr> {
    match socket {
        Socket::Tcp(stream) => stream.peer_addr().ok(),
        Socket::Unix(_) => None,
    }
}

/// Begins TLS on a socket.
async fn secure(
    tls: &Tls,
    socket: Socket,
    offer: Offer,
    deadline: Instant,
    limit: Duration,
) -> Result<Stream, ConnectError> {
    let address = address_of(&socket);
    let config = match offer {
        Offer::Http => tls.client.http.clone(),
        Offer::Http1 => tls.client.http1.clone(),
        Offer::Bytes => tls.client.raw.clone(),
    };
    let handshake = TlsConnector::from(config).connect(tls.name.clone(), socket);
    match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(ConnectError::Tls(explain_connect(&error).to_string())),
        Err(_elapsed) => Err(ConnectError::Timeout(address, limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_config::model::Upstream;

    #[tokio::test]
    async fn what_is_connected_does_not_hold_back_small_writes() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let upstream = Upstream::http("127.0.0.1", listener.local_addr().unwrap().port());
        let endpoint = Endpoint::declared(&upstream, None);
        let wire = connect(&endpoint, Offer::Http1, Duration::from_secs(5)).await.unwrap();
        let Some(Socket::Tcp(stream)) = wire.bare() else { panic!("a TCP connection is one") };
        assert!(stream.nodelay().unwrap());
    }
}
