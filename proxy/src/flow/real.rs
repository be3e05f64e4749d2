//! The request leaves for a real service, and its answer comes back.

use super::attempt::{Asked, Attempt, Host, Timers, Until, receive};
use super::{Answer, Answered, Call};
use crate::grpc::{self, Web};
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::stats::Source;
use crate::upstream::{Ask, Endpoint, EndpointSet, InFlight, Picked, Speaks};
use http::header::HeaderValue;
use http::uri::Scheme;
use http::{Response, Version};
use http_body::Body as _;
use std::net::SocketAddr;
use std::sync::Arc;
use stitch_config::model::{self, Timeouts};
use stitch_config::pattern::Authority;
use stitch_net::Body;
use stitch_net::reason::SOURCE;
use stitch_net::tls::TlsError;
use tokio::time::Instant;

/// Sends a request to one of the service's endpoints, once.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Service,
    timeouts: &Timeouts,
    call: &mut Call,
) -> Answered {
    let set = &service.endpoints;
    let mut picked = match set.only() {
        Some(endpoint) => Picked { endpoint, in_flight: InFlight::default(), cookie: None },
        None => pick(set, call.record.started())?,
    };
    let host = Host::of(service);
    let mut response = if may_be_grpc(picked.endpoint.speaks(), call) {
        Box::pin(once_grpc(proxy, set, &mut picked, host, timeouts, call)).await?
    } else {
        once(proxy, Some(set), &mut picked, host, timeouts, call).await?
    };
    response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// One of several endpoints, for a request that nothing binds to any.
fn pick(set: &EndpointSet, now: Instant) -> Result<Picked, Box<Failure>> {
    let picked = set.pick(Ask {
        key: None,
        sticky: None,
        avoid: &[],
        now,
        draw: &mut |below| fastrand::u64(..below),
    });
    Ok(picked.ok_or_else(|| Failure::none_of(set))?)
}

/// Whether what is asked of who speaks so may be a gRPC call.
fn may_be_grpc(speaks: Speaks, call: &Call) -> bool {
    call.deadline.is_some() || speaks != Speaks::Http1
}

/// One attempt at what may be a gRPC call: it has to be over at its deadline, and may have come from
/// a browser.
async fn once_grpc(
    proxy: &Arc<Proxy>,
    set: &EndpointSet,
    picked: &mut Picked,
    host: Host,
    timeouts: &Timeouts,
    call: &mut Call,
) -> Result<Box<Response<Body>>, Box<Failure>> {
    let web = bridge(picked.endpoint.speaks(), call);
    if let Some(web) = &web {
        let body = std::mem::take(call.request.body_mut());
        *call.request.body_mut() = web.decode(body);
    }
    let answered = once(proxy, Some(set), picked, host, timeouts, call).await;
    unbridge(web, answered, call)
}

/// Turns the head of gRPC-Web into one of gRPC. An endpoint of HTTP/1 can only be one that speaks
/// gRPC-Web itself.
pub(super) fn bridge(speaks: Speaks, call: &mut Call) -> Option<Web> {
    if speaks == Speaks::Http1 { None } else { Web::bridge(call.request.headers_mut()) }
}

/// Turns an answer back, and bounds its body by the caller's patience.
pub(super) fn unbridge(
    web: Option<Web>,
    answered: Result<Box<Response<Body>>, Box<Failure>>,
    call: &mut Call,
) -> Result<Box<Response<Body>>, Box<Failure>> {
    if let Some(web) = &web {
        web.restore(call.request.headers_mut());
    }
    let mut response = answered?;
    if let Some(deadline) = call.deadline.filter(|_| !response.body().is_end_stream()) {
        let body = std::mem::take(response.body_mut());
        *response.body_mut() = Body::boxed(grpc::Until::new(body, deadline));
    }
    if let Some(web) = web {
        web.answer(&mut response);
    }
    Ok(response)
}

/// One attempt: send, wait, clean the answer. `set` is what the endpoint was picked from.
async fn once(
    proxy: &Arc<Proxy>,
    set: Option<&EndpointSet>,
    picked: &mut Picked,
    host: Host,
    timeouts: &Timeouts,
    call: &mut Call,
) -> Result<Box<Response<Body>>, Box<Failure>> {
    call.record.endpoint = Some(picked.endpoint.clone());
    let mut body = std::mem::take(call.request.body_mut());
    // Nothing was waited for since the request arrived.
    let now = call.record.started();
    let timers = Timers::of(timeouts, Until::of(timeouts, call, now), now);
    let attempt = Attempt { asked: Asked::of(proxy, call), set, host, number: None, timers };
    let received = attempt.make(picked, &mut body).await;
    let tried = &mut call.record.endpoint;
    if tried.as_ref().is_none_or(|tried| tried.id != picked.endpoint.id) {
        *tried = Some(picked.endpoint.clone());
    }
    let received = received?;
    call.in_flight = Some(std::mem::take(&mut picked.in_flight));
    receive(&picked.endpoint, received, call)
}

/// Sends a request to the absolute target that it names, if `forward` allows that, or to where it was
/// going when it was redirected.
pub(super) async fn forward(proxy: &Arc<Proxy>, snapshot: &Snapshot, call: &mut Call) -> Answered {
    let redirected = call.peer.as_ref().and_then(|peer| peer.original_destination);
    let endpoint = match redirected {
        Some(to) => original(snapshot, to, call),
        None => target(snapshot, call)?,
    };
    call.unmarked = true;
    let mut picked = Picked { endpoint, in_flight: InFlight::default(), cookie: None };
    let host = if redirected.is_some() { Host::Clients } else { Host::Endpoints };
    let timeouts = Timeouts::default();
    let mut response = once(proxy, None, &mut picked, host, &timeouts, call).await?;
    proxy.via.add(response.headers_mut());
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// The absolute target that a request names.
fn target(snapshot: &Snapshot, call: &Call) -> Result<Arc<Endpoint>, Box<Failure>> {
    let scheme = match call.request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => model::Scheme::Https,
        _ => model::Scheme::Http,
    };
    let authority = call.request.uri().authority().cloned().ok_or(Failure::NoEndpoint)?;
    let target = Authority::parse(authority.as_str());
    let port = target.port.or(scheme.default_port()).unwrap_or(80);
    snapshot.forward.target(scheme, target.host, port).map_err(|error| no_tls(&error))
}

/// Where a redirected request was going, in the version that its client meant.
fn original(snapshot: &Snapshot, to: SocketAddr, call: &Call) -> Arc<Endpoint> {
    let scheme = match call.request.version() {
        Version::HTTP_2 => model::Scheme::H2c,
        _ => model::Scheme::Http,
    };
    snapshot.forward.original(scheme, to)
}

/// A target that TLS has no name for.
pub(super) fn no_tls(error: &TlsError) -> Box<Failure> {
    Box::new(Failure::BadRequest { why: error.to_string(), hint: "check the target's host" })
}
