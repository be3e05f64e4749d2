//! One new connection to an endpoint, every address tried in turn within one limit.

use super::endpoint::Endpoint;
use super::resolve;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The name does not resolve.
    Dns(io::Error),
    /// No address answered; the last one tried and what it said.
    Refused(SocketAddr, io::Error),
    /// Too slow; the address that was being tried, if resolution got that far.
    Timeout(Option<SocketAddr>, Duration),
    /// None of its addresses may be reached; one of them.
    Denied(SocketAddr),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(_) => write!(f, "the name does not resolve"),
            Self::Refused(address, error) => write!(f, "{address} {}", plain(error)),
            Self::Timeout(Some(address), limit) => {
                write!(f, "{address} did not answer within {limit:?}")
            }
            Self::Timeout(None, limit) => write!(f, "the name did not resolve within {limit:?}"),
            Self::Denied(address) => write!(f, "{address} may not be reached"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Dns(error) | Self::Refused(_, error) => Some(error),
            Self::Timeout(..) | Self::Denied(_) => None,
        }
    }
}

/// The usual causes in words.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        io::ErrorKind::HostUnreachable => "is unreachable (no route to host)".to_owned(),
        io::ErrorKind::NetworkUnreachable => "is unreachable (no network)".to_owned(),
        _ => format!("cannot be reached: {error}"),
    }
}

/// Connects within `limit`, name resolution included.
///
/// # Errors
/// See [`ConnectError`]. Dropping the future abandons the attempt.
pub async fn connect(endpoint: &Endpoint, limit: Duration) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + limit;
    let resolved = tokio::time::timeout_at(deadline, resolve::resolve(&endpoint.host)).await;
    let addresses = match resolved {
        Err(_elapsed) => return Err(ConnectError::Timeout(None, limit)),
        Ok(Err(error)) => return Err(ConnectError::Dns(error)),
        Ok(Ok(addresses)) => addresses,
    };
    let mut last = None;
    for ip in addresses {
        let address = SocketAddr::new(ip, endpoint.port);
        if endpoint.guard.as_ref().is_some_and(|guard| !guard.allows(ip, endpoint.port)) {
            last.get_or_insert(ConnectError::Denied(address));
            continue;
        }
        match tokio::time::timeout_at(deadline, TcpStream::connect(address)).await {
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
                resolve::forget(&endpoint.host);
                return Err(ConnectError::Timeout(Some(address), limit));
            }
        }
    }
    resolve::forget(&endpoint.host);
    Err(last.unwrap_or_else(|| ConnectError::Dns(io::ErrorKind::NotFound.into())))
}
