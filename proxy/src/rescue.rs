//! The only place that turns an error into a response.
//!
//! A failure is data: where it arose, what was being reached, why. Its answer names the service, the
//! address that was tried and the cause, and tells the developer what to do.

use crate::upstream::ConnectError;
use http::{HeaderMap, Response};
use std::time::Duration;
use stitch_net::{Body, Problem, Reason};

/// Why a request was not answered by a service.
#[derive(Debug)]
pub enum Failure {
    /// No connection to an endpoint.
    Connect {
        /// The endpoint as configured.
        endpoint: String,
        /// What happened.
        error: ConnectError,
    },
    /// The upstream closed or reset before it answered.
    Reset {
        /// The endpoint as configured.
        endpoint: String,
        /// What the socket said; nothing when it was just closed.
        error: Option<std::io::Error>,
    },
    /// The upstream's answer is not HTTP.
    Protocol {
        /// The endpoint as configured.
        endpoint: String,
        /// What is wrong with it.
        what: String,
    },
    /// The answer to an upgrade over HTTP/2 has this status, which would be consent (RFC 8441 §5),
    /// and nobody has given it.
    NotSwitched(u16),
    /// No response headers in time.
    TimeoutRequest {
        /// The endpoint as configured.
        endpoint: String,
        /// `timeout.request`.
        limit: Duration,
    },
    /// A gRPC call was not over when its caller's patience was.
    Deadline {
        /// The endpoint as configured.
        endpoint: String,
        /// `grpc-timeout`.
        limit: Duration,
    },
    /// The service has no endpoint that could be tried.
    NoEndpoint,
    /// The listener's service is gone since a reload.
    Gone(String),
    /// `forward` does not allow the target.
    Denied {
        /// Host and port.
        target: String,
        /// Which rule refuses it.
        why: String,
        /// What to write to allow it.
        hint: String,
    },
    /// The request has been here before.
    Loop,
    /// The request cannot be carried out as it is.
    BadRequest {
        /// What is wrong.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// The body is larger than `limits.body`.
    TooLarge(u64),
}

impl Failure {
    /// The name of what went wrong.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Connect { error: ConnectError::Dns(_), .. } => Reason::ConnectDns,
            Self::Connect { error: ConnectError::Refused(..) | ConnectError::Unix(..), .. } => {
                Reason::ConnectRefused
            }
            Self::Connect { error: ConnectError::Tls(_), .. } => Reason::ConnectTls,
            Self::Connect { error: ConnectError::Timeout(..), .. } => Reason::TimeoutConnect,
            Self::Connect { error: ConnectError::Denied(_), .. } | Self::Denied { .. } => {
                Reason::Denied
            }
            Self::Reset { .. } => Reason::UpstreamReset,
            Self::Protocol { .. } | Self::NotSwitched(_) => Reason::UpstreamProtocol,
            Self::TimeoutRequest { .. } | Self::Deadline { .. } => Reason::TimeoutRequest,
            Self::NoEndpoint => Reason::NoHealthyEndpoint,
            Self::Gone(_) => Reason::NoService,
            Self::Loop => Reason::Loop,
            Self::BadRequest { .. } => Reason::BadRequest,
            Self::TooLarge(_) => Reason::TooLarge,
        }
    }

    /// Whether the real service could not be reached at all, so that nothing can have happened there.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::NoEndpoint)
    }

    /// The answer, for a request with these headers; `service` is the one that was meant.
    pub fn respond(&self, service: Option<&str>, request: &HeaderMap) -> Response<Body> {
        self.problem(service).respond(request)
    }

    fn problem(&self, service: Option<&str>) -> Problem {
        let who = service.unwrap_or("the target");
        let mut problem = Problem::new(self.reason(), self.detail(who));
        if let Some(service) = service {
            problem = problem.with("service", service);
        }
        if let Some(endpoint) = self.endpoint() {
            problem = problem.with("endpoint", endpoint);
        }
        if let Self::Connect { error, .. } = self {
            problem = with_cause(problem, error);
        }
        match self.hint(service) {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }

    fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Connect { endpoint, .. }
            | Self::Reset { endpoint, .. }
            | Self::Protocol { endpoint, .. }
            | Self::TimeoutRequest { endpoint, .. }
            | Self::Deadline { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }

    /// What happened, in words; `who` was being reached.
    pub(crate) fn detail(&self, who: &str) -> String {
        match self {
            Self::Connect { endpoint, error } => {
                format!("cannot connect to {who} at {endpoint}: {error}")
            }
            Self::Reset { endpoint, error } => {
                let cause = error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
                format!("{who} at {endpoint} closed the connection before it answered{cause}")
            }
            Self::Protocol { endpoint, what } => {
                format!("{who} at {endpoint} did not answer in HTTP: {what}")
            }
            Self::NotSwitched(status) => {
                format!("{who} did not take the upgrade: it answered {status} as to any request")
            }
            Self::TimeoutRequest { endpoint, limit } => {
                format!("{who} at {endpoint} did not answer within {limit:?} (timeout.request)")
            }
            Self::Deadline { endpoint, limit } => {
                format!("{who} at {endpoint} did not answer within {limit:?} (grpc-timeout)")
            }
            Self::NoEndpoint => format!("{who} has no endpoint that could be tried"),
            Self::Gone(service) => format!("{service} is no longer declared"),
            Self::Denied { target, why, .. } => format!("{target} may not be reached: {why}"),
            Self::Loop => "the request has already passed through this proxy".to_owned(),
            Self::BadRequest { why, .. } => why.clone(),
            Self::TooLarge(limit) => {
                format!("the request body is larger than {limit} bytes (limits.body)")
            }
        }
    }

    fn hint(&self, service: Option<&str>) -> Option<String> {
        let service = service.unwrap_or("the target");
        match self {
            Self::Connect { error: ConnectError::Refused(..) | ConnectError::Unix(..), .. } => {
                Some(format!(
                    "is {service} running? start it, correct its url, or set its mode to mock"
                ))
            }
            Self::Connect { error: ConnectError::Dns(_), .. } => {
                Some("check the spelling of the host, and whether it exists on this network".into())
            }
            Self::Connect { error: ConnectError::Tls(_), .. } => {
                Some(format!("check the url and the tls: of {service}"))
            }
            Self::Connect { error: ConnectError::Denied(_), .. } => {
                Some("add its address class, range or name to proxy.forward.allow".into())
            }
            Self::Connect { error: ConnectError::Timeout(..), .. } => {
                Some("is it listening, and is no firewall dropping packets? timeout.connect".into())
            }
            Self::Denied { hint, .. } => Some(hint.clone()),
            Self::BadRequest { hint, .. } => Some((*hint).to_owned()),
            Self::Loop => Some(
                "a url or a proxy variable leads back here; give the service its real address"
                    .into(),
            ),
            Self::NotSwitched(_) => {
                Some("does a WebSocket live at this path? mocks have none".into())
            }
            Self::Protocol { .. } => {
                Some("is the port right, and does the service speak plain HTTP/1.1 there?".into())
            }
            _ => None,
        }
    }
}

fn with_cause(problem: Problem, error: &ConnectError) -> Problem {
    match error {
        ConnectError::Refused(address, cause) => {
            let problem = problem.with("address", address.to_string());
            match cause.raw_os_error() {
                Some(errno) => problem.with("errno", errno).with("error", cause.to_string()),
                None => problem.with("error", cause.to_string()),
            }
        }
        ConnectError::Unix(path, cause) => {
            let problem = problem.with("address", format!("unix:{}", path.display()));
            problem.with("error", cause.to_string())
        }
        ConnectError::Timeout(Some(address), _) | ConnectError::Denied(address) => {
            problem.with("address", address.to_string())
        }
        ConnectError::Dns(cause) => problem.with("error", cause.to_string()),
        ConnectError::Timeout(None, _) | ConnectError::Tls(_) => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::io;

    async fn json(failure: Failure, service: Option<&str>) -> (u16, serde_json::Value) {
        let response = failure.respond(service, &HeaderMap::new());
        assert_eq!(response.headers()["x-stitch-reason"], failure.reason().as_str());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_refused_connection_names_service_address_and_errno() {
        let error = ConnectError::Refused(
            "127.0.0.1:8000".parse().unwrap(),
            io::Error::from_raw_os_error(111),
        );
        let failure = Failure::Connect { endpoint: "localhost:8000".into(), error };
        let (status, json) = json(failure, Some("users")).await;
        assert_eq!(status, 502);
        assert_eq!(json["service"], "users");
        assert_eq!(json["endpoint"], "localhost:8000");
        assert_eq!(json["address"], "127.0.0.1:8000");
        assert_eq!(json["errno"], 111);
        assert_eq!(
            json["detail"],
            "cannot connect to users at localhost:8000: 127.0.0.1:8000 refused the connection"
        );
        assert!(json["hint"].as_str().unwrap().contains("is users running?"));
    }

    #[tokio::test]
    async fn every_failure_has_a_reason_a_status_and_words() {
        let endpoint = || "a:1".to_owned();
        let connect = |error| Failure::Connect { endpoint: endpoint(), error };
        let limit = Duration::from_secs(2);
        let address = "10.0.0.1:80".parse().unwrap();
        let cases = [
            (connect(ConnectError::Dns(io::ErrorKind::NotFound.into())), 502, "connect_dns"),
            (connect(ConnectError::Timeout(None, limit)), 504, "timeout_connect"),
            (connect(ConnectError::Timeout(Some(address), limit)), 504, "timeout_connect"),
            (connect(ConnectError::Denied(address)), 403, "denied"),
            (connect(ConnectError::Tls("w".into())), 502, "connect_tls"),
            (
                connect(ConnectError::Unix("/x".into(), io::ErrorKind::NotFound.into())),
                502,
                "connect_refused",
            ),
            (
                Failure::Protocol { endpoint: endpoint(), what: "x".into() },
                502,
                "upstream_protocol",
            ),
            (Failure::NotSwitched(200), 502, "upstream_protocol"),
            (Failure::TimeoutRequest { endpoint: endpoint(), limit }, 504, "timeout_request"),
            (Failure::Deadline { endpoint: endpoint(), limit }, 504, "timeout_request"),
            (Failure::NoEndpoint, 503, "no_healthy_endpoint"),
            (Failure::Gone("users".into()), 404, "no_service"),
            (
                Failure::Denied { target: "b:2".into(), why: "w".into(), hint: "h".into() },
                403,
                "denied",
            ),
            (Failure::Loop, 508, "loop"),
            (Failure::BadRequest { why: "w".into(), hint: "h" }, 400, "bad_request"),
            (Failure::TooLarge(5), 413, "too_large"),
        ];
        for (failure, status, reason) in cases {
            let connect = failure.is_connect();
            let name = format!("{failure:?}");
            let (got, json) = json(failure, None).await;
            assert_eq!((got, json["reason"].as_str().unwrap()), (status, reason), "{name}");
            assert!(!json["detail"].as_str().unwrap().is_empty());
            assert_eq!(connect, name.starts_with("Connect") || name == "NoEndpoint");
        }
    }
}
