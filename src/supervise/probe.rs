//! Whether a command answers yet.

use crate::http_get;
use http::StatusCode;
use std::time::Duration;
use stitch_config::model::Service;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Between two questions: short beside any start.
const PAUSE: Duration = Duration::from_millis(100);
/// No answer within this time counts as none.
const LIMIT: Duration = Duration::from_secs(2);

/// How a command shows that it is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// By running: it serves nothing that we know of.
    Nothing,
    /// By accepting connections.
    Connect {
        /// `host:port`.
        authority: String,
    },
    /// By answering a GET with anything but a server's error: a missing health page is an answer.
    Get {
        /// `host:port`.
        authority: String,
        /// The path.
        path: String,
    },
}

impl Probe {
    /// The probe of a service: its first real endpoint is asked.
    pub(super) fn of(service: &Service) -> Self {
        let Some(upstream) = service.upstreams.first() else { return Self::Nothing };
        let Some((host, port)) = upstream.host_port() else { return Self::Nothing };
        let authority = authority(host, port);
        match &service.health_path {
            None => Self::Connect { authority },
            Some(path) => Self::Get { authority, path: format!("{}{path}", upstream.base_path) },
        }
    }

    /// Waits until the command is up.
    pub(super) async fn until_up(&self) {
        while !self.succeeds().await {
            sleep(PAUSE).await;
        }
    }

    async fn succeeds(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Connect { authority } => timeout(LIMIT, TcpStream::connect(authority))
                .await
                .is_ok_and(|stream| stream.is_ok()),
            Self::Get { authority, path } => http_get::get(authority, path, LIMIT)
                .await
                .is_ok_and(|answer| answer.status < StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// `host:port`, always with the port.
fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use tokio::net::TcpListener;

    fn probe(service: &str) -> Probe {
        Probe::of(&testing::config(&format!("services:\n  a: {service}\n")).services[0])
    }

    #[test]
    fn the_first_real_endpoint_is_asked() {
        let get = |authority: &str, path: &str| Probe::Get {
            authority: authority.to_owned(),
            path: path.to_owned(),
        };
        let with_command = "{ url: 'http://localhost', command: x }";
        assert_eq!(probe(with_command), get("localhost:80", "/health"));
        let elsewhere = "{ urls: ['http://[::1]:8000/api', 'http://b:1'], command: x }";
        assert_eq!(probe(elsewhere), get("[::1]:8000", "/api/health"));
        assert_eq!(probe("{ endpoints: [ { path: /x } ] }"), Probe::Nothing);
        let no_command = Probe::Connect { authority: "localhost:9".to_owned() };
        assert_eq!(probe("{ url: 'http://localhost:9' }"), no_command);
    }

    async fn answering(status: &'static str) -> Probe {
        let authority = testing::answering(move |_| (status, "")).await.to_string();
        Probe::Get { authority, path: "/health".to_owned() }
    }

    #[tokio::test]
    async fn any_answer_but_a_servers_error_will_do() {
        assert!(answering("200 OK").await.succeeds().await);
        assert!(answering("404 Not Found").await.succeeds().await);
        assert!(!answering("503 Starting").await.succeeds().await);
    }

    #[tokio::test]
    async fn accepting_is_enough_without_a_path() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe = Probe::Connect { authority: listener.local_addr().unwrap().to_string() };
        assert!(probe.succeeds().await);
        drop(listener);
        assert!(!probe.succeeds().await);
        Probe::Nothing.until_up().await;
    }
}
