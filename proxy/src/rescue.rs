//! The only place that turns an error into a response.
//!
//! A failure is data: where it arose, what was being reached, why. Its answer names the service, the
//! address that was tried and the cause, and tells the developer what to do.

use crate::auth::Refusal;
use crate::limit::bulkhead::Overloaded;
use crate::limit::rate::{Refused, retry_seconds};
use crate::upstream::{ConnectError, EndpointSet};
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use stitch_net::reason::REASON;
use stitch_net::{Body, Problem, Reason};
use tokio::time::Instant;

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
        /// It said that it has not acted upon the request.
        unprocessed: bool,
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
    Timeout {
        /// The endpoint as configured; nothing when it was waited for between attempts.
        endpoint: Option<String>,
        /// What ran out.
        timer: Timer,
        /// How long it was.
        limit: Duration,
    },
    /// A gRPC call was not over when its caller's patience was.
    Deadline {
        /// The endpoint as configured; nothing when it was waited for between attempts.
        endpoint: Option<String>,
        /// `grpc-timeout`.
        limit: Duration,
    },
    /// The service has no endpoint that could be tried.
    NoEndpoint,
    /// The breaker lets nothing through.
    BreakerOpen {
        /// Its id.
        breaker: Arc<str>,
        /// When it will let somebody try.
        retry_after: Duration,
    },
    /// It has endpoints, and this is wrong with each of them.
    Unfit(String),
    /// Nobody knows who is asking, or that they may.
    Unauthenticated(Box<Refusal>),
    /// More than `rate_limit` lets through.
    RateLimited(Refused),
    /// More at once than `concurrency` lets through.
    Overloaded(Overloaded),
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

/// The timers of `timeout` that end before response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// `first_byte`.
    FirstByte,
    /// `per_try`.
    PerTry,
    /// `request`.
    Request,
}

impl Timer {
    fn reason(self) -> Reason {
        match self {
            Self::FirstByte => Reason::TimeoutFirstByte,
            Self::PerTry => Reason::TimeoutPerTry,
            Self::Request => Reason::TimeoutRequest,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::FirstByte => "timeout.first_byte",
            Self::PerTry => "timeout.per_try",
            Self::Request => "timeout.request",
        }
    }
}

impl Failure {
    /// There was none to pick.
    pub(crate) fn none_of(endpoints: &EndpointSet) -> Self {
        match endpoints.why_not(Instant::now()) {
            why if why.is_empty() => Self::NoEndpoint,
            why => Self::Unfit(why),
        }
    }

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
            Self::Timeout { timer, .. } => timer.reason(),
            Self::Deadline { .. } => Reason::TimeoutRequest,
            Self::BreakerOpen { .. } => Reason::BreakerOpen,
            Self::Unauthenticated(refusal) => match refusal.status {
                StatusCode::UNAUTHORIZED => Reason::Unauthenticated,
                _ => Reason::Denied,
            },
            Self::RateLimited(_) => Reason::RateLimited,
            Self::Overloaded(_) => Reason::Overloaded,
            Self::NoEndpoint | Self::Unfit(_) => Reason::NoHealthyEndpoint,
            Self::Gone(_) => Reason::NoService,
            Self::Loop => Reason::Loop,
            Self::BadRequest { .. } => Reason::BadRequest,
            Self::TooLarge(_) => Reason::TooLarge,
        }
    }

    /// Whether the real service could not be reached at all, so that nothing can have happened there.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::NoEndpoint | Self::Unfit(_))
    }

    /// Whether it was an address that could not be connected to, so that another one of its name may
    /// be better.
    pub(crate) fn is_of_address(&self) -> bool {
        let Self::Connect { error, .. } = self else { return false };
        matches!(error, ConnectError::Refused(..) | ConnectError::Timeout(Some(_), _))
    }

    /// Whether the real service was not there to be asked, so that its mock may answer.
    pub fn lets_mock_answer(&self) -> bool {
        self.is_connect() || matches!(self, Self::BreakerOpen { .. })
    }

    /// Whether the service is why there is no answer, so that its `fallback` may stand for one.
    pub fn is_the_services(&self) -> bool {
        self.lets_mock_answer()
            || matches!(
                self,
                Self::Reset { .. }
                    | Self::Protocol { .. }
                    | Self::Timeout { .. }
                    | Self::Deadline { .. }
            )
    }

    /// The answer, for a request with these headers; `service` is the one that was meant.
    pub fn respond(self, service: Option<&str>, request: &HeaderMap) -> Response<Body> {
        let reason = self.reason();
        let mut response = match self {
            // What the service that was asked says is passed on as it is.
            Self::Unauthenticated(mut refusal) if refusal.answer.is_some() => {
                let mut answer = refusal.answer.take().unwrap_or_default();
                answer.headers_mut().insert(REASON, reason.header());
                return answer;
            }
            ref failure => failure.problem(service).respond(request),
        };
        let headers = response.headers_mut();
        match self {
            Self::BreakerOpen { retry_after, .. } => {
                headers.insert(RETRY_AFTER, retry_seconds(retry_after).into());
            }
            Self::RateLimited(refused) => headers.extend(refused.headers()),
            Self::Overloaded(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Unauthenticated(refusal) => {
                for challenge in refusal.challenges {
                    headers.append(WWW_AUTHENTICATE, challenge);
                }
            }
            _ => {}
        }
        response
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
        match self {
            Self::Connect { error, .. } => problem = with_cause(problem, error),
            Self::Unauthenticated(refusal) => problem = problem.status(refusal.status),
            Self::RateLimited(refused) => problem = problem.with("limit", &*refused.id),
            Self::BreakerOpen { breaker, .. } => problem = problem.with("breaker", &**breaker),
            _ => {}
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
            | Self::Protocol { endpoint, .. } => Some(endpoint),
            Self::Timeout { endpoint, .. } | Self::Deadline { endpoint, .. } => endpoint.as_deref(),
            _ => None,
        }
    }

    /// What happened, in words; `who` was being reached.
    pub(crate) fn detail(&self, who: &str) -> String {
        match self {
            Self::Connect { endpoint, error } => {
                format!("cannot connect to {who} at {endpoint}: {error}")
            }
            Self::Reset { endpoint, error, .. } => {
                let cause = error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
                format!("{who} at {endpoint} closed the connection before it answered{cause}")
            }
            Self::Protocol { endpoint, what } => {
                format!("{who} at {endpoint} did not answer in HTTP: {what}")
            }
            Self::NotSwitched(status) => {
                format!("{who} did not take the upgrade: it answered {status} as to any request")
            }
            Self::Timeout { endpoint, timer, limit } => {
                let at = endpoint.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
                format!("{who}{at} did not answer within {limit:?} ({})", timer.key())
            }
            Self::Deadline { endpoint, limit } => {
                let at = endpoint.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
                format!("{who}{at} did not answer within {limit:?} (grpc-timeout)")
            }
            Self::NoEndpoint => format!("{who} has no endpoint that could be tried"),
            Self::BreakerOpen { breaker, retry_after } => format!(
                "the breaker {breaker} is open; the next try is in {:.1} s",
                retry_after.as_secs_f64()
            ),
            Self::Unfit(why) => format!("{who} has no endpoint that is fit: {why}"),
            Self::Unauthenticated(refusal) => {
                format!("the request to {who} is refused: {}", refusal.detail)
            }
            Self::RateLimited(refused) => format!(
                "the limit {} lets no more through; try again in {} s",
                refused.id,
                retry_seconds(refused.retry_after)
            ),
            Self::Overloaded(overloaded) => format!("{who} is busy: {overloaded} (concurrency)"),
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
            Self::Unfit(_) => Some(format!(
                "its health checks and eject: decide that; /api/services/{service} of the admin API tells more"
            )),
            Self::Protocol { .. } => {
                Some("is the port right, and does the service speak plain HTTP/1.1 there?".into())
            }
            Self::BreakerOpen { breaker, .. } => Some(format!(
                "{service} has failed too often; GET /api/breakers/{breaker} on the admin port says why"
            )),
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
        let reason = failure.reason();
        let response = failure.respond(service, &HeaderMap::new());
        assert_eq!(response.headers()["x-stitch-reason"], reason.as_str());
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
        let timeout = |timer| Failure::Timeout { endpoint: Some(endpoint()), timer, limit };
        let breaker = || Failure::BreakerOpen { breaker: "users".into(), retry_after: limit };
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
            (timeout(Timer::FirstByte), 504, "timeout_first_byte"),
            (timeout(Timer::PerTry), 504, "timeout_per_try"),
            (timeout(Timer::Request), 504, "timeout_request"),
            (breaker(), 503, "breaker_open"),
            (Failure::Deadline { endpoint: Some(endpoint()), limit }, 504, "timeout_request"),
            (Failure::NoEndpoint, 503, "no_healthy_endpoint"),
            (Failure::Unfit("a:1 is unhealthy: x".into()), 503, "no_healthy_endpoint"),
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
            let unreached = ["Connect", "NoEndpoint", "Unfit"];
            assert_eq!(connect, unreached.iter().any(|known| name.starts_with(known)));
        }
    }
}
