//! One attempt at a real endpoint: its head is made, sent, and the head of the answer waited for.

use super::Call;
use crate::grpc::Deadline;
use crate::hygiene::{self, Marks, Outbound};
use crate::proxy::Proxy;
use crate::relay::Side;
use crate::rescue::{Failure, Timer};
use crate::service::Service;
use crate::tunnel;
use crate::upstream::{
    Endpoint, EndpointSet, ExchangeError, H2Headers, Limits, Picked, Received, RequestHead,
    SendError, send, write_request_line,
};
use http::header::{HeaderValue, UPGRADE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use smallvec::SmallVec;
use std::io;
use std::time::Duration;
use stitch_config::model::Timeouts;
use stitch_net::{Body, Peer};
use tokio::time::Instant;

/// What an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    limits: Limits,
    /// What to say when it is over.
    late: Option<Late>,
}

/// When something has to be over, and what to say if it is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub at: Instant,
    late: Late,
}

/// Whose patience ended, and how long it lasted.
#[derive(Clone, Copy, Debug)]
struct Late {
    limit: Duration,
    whose: Whose,
}

/// Who does not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours(Timer),
    /// The gRPC caller.
    Callers,
}

impl Late {
    fn failure(self, endpoint: Option<&Endpoint>) -> Box<Failure> {
        let (endpoint, limit) = (endpoint.map(ToString::to_string), self.limit);
        Box::new(match self.whose {
            Whose::Ours(timer) => Failure::Timeout { endpoint, timer, limit },
            Whose::Callers => Failure::Deadline { endpoint, limit },
        })
    }
}

impl Until {
    pub fn failure(self, endpoint: Option<&Endpoint>) -> Box<Failure> {
        self.late.failure(endpoint)
    }

    /// When an attempt has to be over.
    pub fn of_attempt(timeouts: &Timeouts, whole: Option<Self>, now: Instant) -> Option<Self> {
        let ours = [(timeouts.first_byte, Timer::FirstByte), (timeouts.per_try, Timer::PerTry)];
        ours.into_iter().fold(whole, |until, (limit, timer)| {
            let ours = limit.and_then(|limit| {
                let at = now.checked_add(limit)?;
                Some(Self { at, late: Late { limit, whose: Whose::Ours(timer) } })
            });
            sooner(until, ours)
        })
    }

    /// When the whole request has to be over.
    pub fn of(timeouts: &Timeouts, call: &Call, now: Instant) -> Option<Self> {
        let ours = timeouts.request.and_then(|limit| {
            let at = now.checked_add(limit)?;
            Some(Self { at, late: Late { limit, whose: Whose::Ours(Timer::Request) } })
        });
        let callers = call.deadline.map(|deadline| Self {
            at: deadline.at(),
            late: Late { limit: deadline.limit(), whose: Whose::Callers },
        });
        sooner(ours, callers)
    }
}

fn sooner(one: Option<Until>, other: Option<Until>) -> Option<Until> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.at < one.at { other } else { one }),
        (one, other) => one.or(other),
    }
}

impl Timers {
    /// The timers of one attempt at a request that has to be over at some time.
    pub fn of(timeouts: &Timeouts, whole: Option<Until>, now: Instant) -> Self {
        let per_try = timeouts.per_try.and_then(|limit| {
            let at = now.checked_add(limit)?;
            Some(Until { at, late: Late { limit, whose: Whose::Ours(Timer::PerTry) } })
        });
        let until = sooner(whole, per_try);
        let Timeouts { connect, first_byte, .. } = *timeouts;
        let over_at = until.map(|until| until.at);
        let limits = Limits { connect, first_byte, began: Some(now), until: over_at };
        Self { limits, late: until.map(|until| until.late) }
    }
}

/// What of a call the heads of its attempts are made from.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    proxy: &'a Proxy,
    method: &'a Method,
    headers: &'a HeaderMap,
    target: &'a Uri,
    version: Version,
    upgrade: Option<&'a HeaderValue>,
    deadline: Option<Deadline>,
    peer: Option<&'a Peer>,
    host: Option<&'a HeaderValue>,
    request_id: &'a HeaderValue,
}

impl<'a> Asked<'a> {
    pub fn of(proxy: &'a Proxy, call: &'a Call) -> Self {
        Self {
            proxy,
            method: call.request.method(),
            headers: call.request.headers(),
            target: call.request.uri(),
            version: call.request.version(),
            upgrade: call.upgrade.as_ref().map(|upgrade| &upgrade.0),
            deadline: call.deadline,
            peer: call.peer.as_deref(),
            host: call.host.as_ref(),
            request_id: &call.request_id,
        }
    }
}

/// Which host an endpoint is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Its own.
    Endpoints,
    /// The one that the client asked for, if there is one.
    Clients,
}

impl Host {
    pub fn of(service: &Service) -> Self {
        if service.declared.preserve_host { Self::Clients } else { Self::Endpoints }
    }
}

/// One attempt at a request.
pub(super) struct Attempt<'a> {
    pub asked: Asked<'a>,
    /// What its endpoint was picked from; `None` for a target that nobody declared.
    pub set: Option<&'a EndpointSet>,
    pub host: Host,
    /// What the service is told of its number, where there may be several.
    pub number: Option<u32>,
    pub timers: Timers,
}

impl Attempt<'_> {
    /// Sends, and waits for the head of the answer. While there is no connection the other addresses
    /// of the endpoint's name are tried; who is `picked` changes with them.
    pub async fn make(
        &self,
        picked: &mut Picked,
        body: &mut Body,
    ) -> Result<Received, Box<Failure>> {
        let head = Head { attempt: self, endpoint: &picked.endpoint };
        let error = match send(&picked.endpoint, body, &head, &self.timers.limits).await {
            Ok(received) => return Ok(received),
            Err(error) => error,
        };
        Box::pin(self.elsewhere(error, picked)).await
    }

    async fn elsewhere(
        &self,
        mut error: SendError,
        picked: &mut Picked,
    ) -> Result<Received, Box<Failure>> {
        let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
        // What the address before took is not its time.
        let limits = Limits { began: None, ..self.timers.limits };
        loop {
            let (failure, unsent) = self.unanswered(&picked.endpoint, error);
            let (Some(set), Some(mut body)) = (self.set, unsent) else { return Err(failure) };
            if !failure.is_of_address() {
                return Err(failure);
            }
            tried.push(picked.endpoint.id);
            let Some(next) = set.pick_beside(&picked.endpoint, &tried, Instant::now()) else {
                return Err(failure);
            };
            *picked = next;
            let head = Head { attempt: self, endpoint: &picked.endpoint };
            match send(&picked.endpoint, &mut body, &head, &limits).await {
                Ok(received) => return Ok(received),
                Err(next) => error = next,
            }
        }
    }

    /// Why there is no answer; and the body, if there was no connection to send it over.
    fn unanswered(&self, endpoint: &Endpoint, error: SendError) -> (Box<Failure>, Option<Body>) {
        match (error, self.timers.late) {
            (SendError::Exchange(ExchangeError::Late), Some(late)) => {
                (late.failure(Some(endpoint)), None)
            }
            (SendError::Exchange(error), _) => {
                (Box::new(failure(endpoint.to_string(), error)), None)
            }
            (SendError::Connect(error, unsent), _) => {
                (Failure::Connect { endpoint: endpoint.to_string(), error }.into(), unsent)
            }
        }
    }
}

/// Cleans an answer; or joins both sides of an upgrade.
pub(super) fn receive(
    endpoint: &Endpoint,
    received: Received,
    call: &mut Call,
) -> Result<Box<Response<Body>>, Box<Failure>> {
    match received {
        Received::Response(mut response) => {
            hygiene::clean_response(response.headers_mut());
            Ok(response)
        }
        Received::Switched(response, upstream) => {
            switch_protocols(endpoint, response, upstream, call)
        }
    }
}

/// The head of the request as one endpoint gets it.
struct Head<'a> {
    attempt: &'a Attempt<'a>,
    endpoint: &'a Endpoint,
}

impl Head<'_> {
    fn outbound(&self) -> Outbound<'_> {
        let Attempt { asked, number, .. } = self.attempt;
        let preserved = asked.host.filter(|_| self.attempt.host == Host::Clients);
        // Only declared endpoints are told about the call.
        let marks = self.endpoint.guard.is_none().then_some(Marks {
            peer: asked.peer,
            host: asked.host,
            request_id: asked.request_id,
            attempt: *number,
        });
        Outbound {
            host: preserved.unwrap_or(&self.endpoint.host),
            via: &asked.proxy.via,
            version: asked.version,
            upgrade: asked.upgrade,
            deadline: asked.deadline,
            marks,
        }
    }

    /// The path and query as the endpoint is to see them.
    fn path(&self) -> Result<PathAndQuery, http::Error> {
        let base_path = &*self.endpoint.base_path;
        match self.attempt.asked.target.path_and_query() {
            Some(target) if base_path.is_empty() || target == "*" => Ok(target.clone()),
            Some(target) => Ok(format!("{base_path}{target}").parse::<PathAndQuery>()?),
            None => Ok(PathAndQuery::from_static("/")),
        }
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &Method {
        self.attempt.asked.method
    }

    fn upgrades(&self) -> bool {
        self.attempt.asked.upgrade.is_some()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Asked { method, headers, target, .. } = self.attempt.asked;
        write_request_line(out, method, &self.endpoint.base_path, target);
        self.outbound().write(headers, out);
    }

    fn h2(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        let Asked { method, headers: cleaned, .. } = self.attempt.asked;
        let outbound = self.outbound();
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).path_and_query(self.path()?);
        let uri = match &endpoint.authority {
            Some(authority) if *outbound.host == endpoint.host => uri.authority(authority.clone()),
            _ => uri.authority(outbound.host.as_bytes()),
        };
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.build()?;
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.reserve(cleaned.len() + 6);
        outbound.write(cleaned, &mut H2Headers(headers));
        if let Some(protocol) = outbound.upgrade {
            hygiene::as_extended_connect(&mut request, protocol);
        }
        Ok(request)
    }
}

/// Joins both sides of an upgrade once the 101 has been passed on.
fn switch_protocols(
    endpoint: &Endpoint,
    mut response: Box<Response<Body>>,
    upstream: Box<dyn Side>,
    call: &mut Call,
) -> Result<Box<Response<Body>>, Box<Failure>> {
    let (Some(upgrade), Some(peer)) = (call.upgrade.take(), &call.peer) else {
        return Err(Box::new(Failure::Protocol {
            endpoint: endpoint.to_string(),
            what: "it switched protocols although nobody asked".to_owned(),
        }));
    };
    let (wanted, client) = *upgrade;
    // In flight until its end, which is not the answer's.
    let held = (call.place.take(), call.in_flight.take());
    tunnel::join_upgraded(client, upstream, peer.clone(), held);
    let agreed = response.headers().get(UPGRADE).cloned();
    hygiene::clean_response(response.headers_mut());
    hygiene::switched(&mut response, &call.request, agreed.unwrap_or(wanted));
    Ok(response)
}

fn failure(endpoint: String, error: ExchangeError) -> Failure {
    match error {
        ExchangeError::Broken(error) => Failure::Reset { endpoint, error, unprocessed: false },
        ExchangeError::FirstByte(limit) => {
            Failure::Timeout { endpoint: Some(endpoint), timer: Timer::FirstByte, limit }
        }
        ExchangeError::Protocol(what) => Failure::Protocol { endpoint, what },
        // Whoever says until when knows whose time it was.
        late @ ExchangeError::Late => Failure::Protocol { endpoint, what: late.to_string() },
        error @ ExchangeError::Stream(_) => {
            let unprocessed = error.is_unprocessed();
            Failure::Reset { endpoint, error: Some(io::Error::other(error)), unprocessed }
        }
        ExchangeError::Head(error) => Failure::BadRequest {
            why: format!("the request cannot be sent over HTTP/2: {error}"),
            hint: "check its target",
        },
        ExchangeError::Body(error) => body_failure(&*error),
    }
}

/// A body that turned out larger than `limits.body`, or broken, while it was being sent.
fn body_failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<http_body_util::LengthLimitError>() {
        return Failure::TooLarge(0);
    }
    Failure::BadRequest {
        why: format!("the request's body broke off: {error}"),
        hint: "check its length, or the sizes of its chunks",
    }
}
