//! One attempt that is over, at a real endpoint or at the mock: how it ended, and what became of it.

use super::Call;
use super::attempt::receive;
use super::audience::{Audience, grpc_status};
use crate::breakers::Permit;
use crate::policy::{Fault, Outcome};
use crate::rescue::{Failure, Timer};
use crate::stats::Source;
use crate::upstream::{ConnectError, Endpoint, EndpointSet, InFlight, Picked, Received};
use http::header::HeaderName;
use http::{HeaderMap, Response};
use http_body::Body as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stitch_net::Body;
use tokio::time::Instant;

/// Most frames of an answer that nobody wants which are read to keep its connection.
const FRAMES: usize = 16;

/// An attempt that is over.
pub(super) struct Tried {
    outcome: Outcome,
    /// Until the answer's head, if there was one.
    took: Option<Duration>,
    /// Value of the cookie that keeps its client on the endpoint.
    cookie: Option<String>,
    what: What,
}

enum What {
    Real(Received, Arc<Endpoint>, InFlight),
    Mock(Box<Response<Body>>),
    /// No endpoint of the mock matches; this explains it.
    Miss(Box<Response<Body>>),
    Failed(Box<Failure>, Option<Arc<Endpoint>>),
}

impl Tried {
    /// An attempt at a real endpoint. The `set` that it was picked from is told of it.
    pub fn real(
        result: Result<Received, Box<Failure>>,
        Picked { endpoint, in_flight, cookie }: Picked,
        permit: Option<Permit>,
        set: Option<&Arc<EndpointSet>>,
        (began, now): (Instant, Instant),
    ) -> Self {
        let took = Some(now.saturating_duration_since(began));
        let audience = Audience { permit, endpoint: set.map(|set| (set, &endpoint)), began };
        match result {
            Ok(Received::Response(mut response)) => {
                let outcome = of_response(&response);
                audience.tell_in_time(outcome, &mut response, now);
                let what = What::Real(Received::Response(response), endpoint, in_flight);
                Self { outcome, took, cookie, what }
            }
            Ok(switched @ Received::Switched(..)) => {
                let outcome = Outcome::Status(101);
                audience.tell(outcome, now);
                Self { outcome, took, cookie, what: What::Real(switched, endpoint, in_flight) }
            }
            Err(failure) => {
                let outcome = Outcome::Failed(fault(&failure));
                audience.tell(outcome, now);
                Self { outcome, took: None, cookie, what: What::Failed(failure, Some(endpoint)) }
            }
        }
    }

    pub fn mock(mut response: Response<Body>, audience: Audience<'_>) -> Self {
        let (outcome, now) = (of_response(&response), Instant::now());
        let took = Some(now.saturating_duration_since(audience.began));
        audience.tell_in_time(outcome, &mut response, now);
        Self { outcome, took, cookie: None, what: What::Mock(Box::new(response)) }
    }

    pub fn miss(response: Response<Body>) -> Self {
        Self {
            outcome: Outcome::Failed(Fault::Ours),
            took: None,
            cookie: None,
            what: What::Miss(Box::new(response)),
        }
    }

    /// Nobody could be asked, or the mock did not answer.
    pub fn failed(failure: Box<Failure>, audience: Option<Audience<'_>>) -> Self {
        let outcome = Outcome::Failed(fault(&failure));
        if let Some(audience) = audience {
            audience.tell(outcome, Instant::now());
        }
        Self { outcome, took: None, cookie: None, what: What::Failed(failure, None) }
    }

    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// A header of the answer.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        let headers: &HeaderMap = match &self.what {
            What::Real(Received::Response(response), ..) | What::Mock(response) => {
                response.headers()
            }
            _ => return None,
        };
        headers.get(name)?.to_str().ok()
    }

    /// Whose answer it is.
    pub fn source(&self) -> Source {
        match &self.what {
            What::Real(..) => Source::Real,
            What::Mock(_) => Source::Mock,
            What::Miss(_) | What::Failed(..) => Source::Stitch,
        }
    }

    /// The answer, for the caller to have.
    pub fn accept(self, call: &mut Call) -> Result<Box<Response<Body>>, Box<Failure>> {
        match self.what {
            What::Real(received, endpoint, in_flight) => {
                call.in_flight = Some(in_flight);
                let response = receive(&endpoint, received, call);
                call.record.endpoint = Some(endpoint);
                response
            }
            What::Mock(response) | What::Miss(response) => Ok(response),
            What::Failed(failure, endpoint) => {
                call.record.endpoint = endpoint.or(call.record.endpoint.take());
                Err(failure)
            }
        }
    }

    /// Nobody wants the answer. What is here of it is read, so that its connection can be kept.
    pub fn let_go(self) {
        let What::Real(Received::Response(response), ..) = self.what else { return };
        let mut body = response.into_body();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..FRAMES {
            if body.is_end_stream() {
                return;
            }
            let Poll::Ready(Some(Ok(_))) = Pin::new(&mut body).poll_frame(&mut cx) else { return };
        }
    }
}

fn of_response(response: &Response<Body>) -> Outcome {
    // An answer without messages has its status in its head (Trailers-Only).
    let code = match response.body().is_end_stream() {
        true => grpc_status(response.headers()),
        false => None,
    };
    match code {
        Some(code) if response.status().is_success() => Outcome::Grpc(code),
        _ => Outcome::Status(response.status().as_u16()),
    }
}

/// What a failure says about who was asked.
fn fault(failure: &Failure) -> Fault {
    match failure {
        Failure::Connect { error: ConnectError::Denied(_), .. } => Fault::Ours,
        Failure::Connect { .. } | Failure::Reset { unprocessed: true, .. } => Fault::Connect,
        Failure::Reset { .. } | Failure::Protocol { .. } => Fault::Reset,
        Failure::Timeout { timer: Timer::FirstByte | Timer::PerTry, .. } => Fault::Timeout,
        Failure::Timeout { timer: Timer::Request, .. } | Failure::Deadline { .. } => {
            Fault::Deadline
        }
        _ => Fault::Ours,
    }
}
