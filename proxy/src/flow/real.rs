//! The request leaves for a real service, and its answer comes back.

use super::attempt::{Asked, Timers, Until, attempt, receive};
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
    service: &Arc<Service>,
    timeout: Timeouts,
    call: &mut Call,
) -> Answered {
    let set = &service.endpoints;
    let picked = match set.only() {
        Some(endpoint) => Picked { endpoint, in_flight: InFlight::default(), cookie: None },
        None => pick(set)?,
    };
    let host = Asked::of(proxy, call).host_at(&picked.endpoint, service.declared.preserve_host);
    let mut response = if may_be_grpc(picked.endpoint.speaks(), call) {
        Box::pin(once_grpc(proxy, set, picked, host, timeout, call)).await?
    } else {
        once(proxy, Some(set), picked, host, timeout, call).await?
    };
    response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// One of several endpoints, for a request that nothing binds to any.
fn pick(set: &EndpointSet) -> Result<Picked, Box<Failure>> {
    let picked = set.pick(Ask {
        key: None,
        sticky: None,
        avoid: &[],
        now: Instant::now(),
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
    picked: Picked,
    host: HeaderValue,
    timeout: Timeouts,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    let web = bridge(picked.endpoint.speaks(), call);
    if let Some(web) = &web {
        let body = std::mem::take(call.request.body_mut());
        *call.request.body_mut() = web.decode(body);
    }
    let answered = once(proxy, Some(set), picked, host, timeout, call).await;
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
    answered: Result<Response<Body>, Box<Failure>>,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    if let Some(web) = &web {
        web.restore(call.request.headers_mut());
    }
    match answered {
        Ok(mut response) => {
            if let Some(deadline) = call.deadline.filter(|_| !response.body().is_end_stream()) {
                response = response.map(|body| Body::boxed(grpc::Until::new(body, deadline)));
            }
            Ok(match web {
                Some(web) => web.answer(response),
                None => response,
            })
        }
        Err(failure) => Err(failure),
    }
}

/// One attempt: send, wait, clean the answer. `set` is what the endpoint was picked from.
async fn once(
    proxy: &Arc<Proxy>,
    set: Option<&EndpointSet>,
    mut picked: Picked,
    host: HeaderValue,
    timeouts: Timeouts,
    call: &mut Call,
) -> Result<Response<Body>, Box<Failure>> {
    call.record.endpoint = Some(picked.endpoint.clone());
    let body = std::mem::take(call.request.body_mut());
    // Who has no timers reads no clock.
    let whole = match timeouts.request.is_some() || call.deadline.is_some() {
        true => Until::of(&timeouts, call, Instant::now()),
        false => None,
    };
    let timers = Timers::of(&timeouts, whole, Instant::now);
    let asked = Asked::of(proxy, call);
    let head = asked.head(&picked.endpoint, host.clone(), None);
    let received = match (attempt(&picked.endpoint, head, body, timers).await, set) {
        (Ok(received), _) => received,
        (Err(last), None) => return Err(last.failure),
        (Err(last), Some(set)) => {
            let again = (None, timers);
            let sent = Box::pin(asked.elsewhere(last, set, &mut picked, &host, again)).await;
            call.record.endpoint = Some(picked.endpoint.clone());
            sent?
        }
    };
    call.in_flight = Some(picked.in_flight);
    receive(&picked.endpoint, received, call)
}

/// Sends a request to the absolute target that it names, if `forward` allows that, or to where it was
/// going when it was redirected.
pub(super) async fn forward(proxy: &Arc<Proxy>, snapshot: &Snapshot, call: &mut Call) -> Answered {
    let (endpoint, host) = match call.peer.as_ref().and_then(|peer| peer.original_destination) {
        Some(to) => original(snapshot, to, call),
        None => target(snapshot, call)?,
    };
    call.unmarked = true;
    let picked = Picked { endpoint, in_flight: InFlight::default(), cookie: None };
    let mut response = once(proxy, None, picked, host, Timeouts::default(), call).await?;
    proxy.via.add(response.headers_mut());
    Ok(Answer { response, source: Source::Real, reason: None })
}

/// The absolute target that a request names.
fn target(snapshot: &Snapshot, call: &Call) -> Result<(Arc<Endpoint>, HeaderValue), Box<Failure>> {
    let scheme = match call.request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => model::Scheme::Https,
        _ => model::Scheme::Http,
    };
    let authority = call.request.uri().authority().cloned().ok_or(Failure::NoEndpoint)?;
    let target = Authority::parse(authority.as_str());
    let port = target.port.or(scheme.default_port()).unwrap_or(80);
    let endpoint =
        snapshot.forward.target(scheme, target.host, port).map_err(|error| no_tls(&error))?;
    let host = endpoint.host.clone();
    Ok((endpoint, host))
}

/// Where a redirected request was going, in the version and to the host that its client meant.
fn original(snapshot: &Snapshot, to: SocketAddr, call: &Call) -> (Arc<Endpoint>, HeaderValue) {
    let scheme = match call.request.version() {
        Version::HTTP_2 => model::Scheme::H2c,
        _ => model::Scheme::Http,
    };
    let endpoint = snapshot.forward.original(scheme, to);
    let host = call.host.as_ref().unwrap_or(&endpoint.host).clone();
    (endpoint, host)
}

/// A target that TLS has no name for.
pub(super) fn no_tls(error: &TlsError) -> Box<Failure> {
    Box::new(Failure::BadRequest { why: error.to_string(), hint: "check the target's host" })
}
