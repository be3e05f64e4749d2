//! One check: a connection of its own, a question, a verdict.

use super::ask::{self, Line, Trouble};
use crate::upstream::{ConnectError, Endpoint, Offer, connect_saying};
use http::StatusCode;
use std::io;
use std::time::Duration;
use stitch_config::model::{HealthProbe, ProxyProtocol, Scheme};
use tokio::time::timeout;

/// What each check of a service does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) probe: HealthProbe,
    /// How long all of it may take.
    pub(super) limit: Duration,
    /// Services that expect a PROXY header are told that nobody is behind this connection.
    pub(super) proxy_protocol: Option<ProxyProtocol>,
}

impl Question {
    /// Asks an endpoint.
    pub(super) async fn put_to(&self, endpoint: &Endpoint) -> Result<(), Trouble> {
        let limit = self.limit;
        let late = |_| Err(Trouble::not_yet(format!("no answer within {limit:?}")));
        timeout(limit, self.ask(endpoint)).await.unwrap_or_else(late)
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<(), Trouble> {
        match &self.probe {
            HealthProbe::Tcp => {
                let first = self.proxy_protocol.map_or(&[][..], local);
                let wire = connect_saying(first, endpoint, Offer::Bytes, self.limit).await;
                wire.map(drop).map_err(|error| cause(&error))
            }
            HealthProbe::Http(path) => match ask::get(self.line(endpoint).await?, path).await? {
                status if status < StatusCode::BAD_REQUEST => Ok(()),
                status => Err(Trouble::not_yet(format!("{path} answers {status}"))),
            },
            HealthProbe::Grpc(service) => {
                ask::serving(self.line(endpoint).await?, "", service).await
            }
        }
    }

    async fn line(&self, endpoint: &Endpoint) -> Result<Line, Trouble> {
        let wire = connect_saying(&[], endpoint, Offer::Http, self.limit).await;
        let wire = wire.map_err(|error| cause(&error))?;
        Ok(Line {
            http2: endpoint.scheme == Scheme::H2c || wire.is_h2(),
            secure: endpoint.tls.is_some(),
            authority: endpoint.host.to_str().unwrap_or_default().to_owned(),
            stream: Box::new(wire),
        })
    }
}

/// The PROXY header of connections that the proxy makes for itself.
fn local(version: ProxyProtocol) -> &'static [u8] {
    match version {
        ProxyProtocol::V1 => b"PROXY UNKNOWN\r\n",
        ProxyProtocol::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    }
}

/// Why there is no connection. Where to is known to whoever reads this.
fn cause(error: &ConnectError) -> Trouble {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "no network".to_owned(),
        io::ErrorKind::NotFound => "the socket does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "the socket may not be used by this user".to_owned(),
        _ => error.to_string(),
    };
    Trouble::not_yet(match error {
        ConnectError::Refused(_, error) | ConnectError::Unix(_, error) => failed(error),
        ConnectError::Timeout(_, limit) => format!("no connection within {limit:?}"),
        ConnectError::Dns(_) | ConnectError::Denied(_) | ConnectError::Tls(_) => error.to_string(),
    })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
