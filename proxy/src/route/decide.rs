//! The order of the design's "Who gets a request", top to bottom.

use super::table::Routed;
use crate::service::Service;
use crate::snapshot::{RouteTarget, Snapshot};
use http::header::{HOST, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use stitch_config::pattern::Authority;

/// What a listener is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reverse and forward proxy on one port.
    Gateway,
    /// The port of one service, by name.
    Service(Arc<str>),
    /// One connection that was going there and was redirected.
    Transparent(SocketAddr),
}

/// Who gets a request.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'s> {
    /// A declared service, by port, host or url.
    Service(&'s Arc<Service>),
    /// Whatever a route says.
    Route(&'s Arc<Routed<RouteTarget>>),
    /// A target that nobody declared; `forward` decides.
    Forward,
    /// Mocks by path; else nobody.
    Fallthrough,
}

/// Decides who gets a request that asks for a host.
///
/// # Errors
/// With the service's name when the listener's service is gone since a reload.
pub fn decide<'s, B>(
    snapshot: &'s Snapshot,
    role: &Role,
    request: &Request<B>,
    asked: Option<&HeaderValue>,
) -> Result<Decision<'s>, String> {
    if let Role::Service(name) = role {
        let service = snapshot.service(name).map(Decision::Service);
        return service.ok_or_else(|| name.to_string());
    }
    if let Role::Transparent(to) = role {
        return Ok(decide_redirected(snapshot, *to, request, asked));
    }
    let target = request.uri().authority().map(|authority| {
        let target = Authority::parse(authority.as_str());
        let secure = request.uri().scheme() == Some(&Scheme::HTTPS);
        Authority { port: target.port.or(secure.then_some(443)), ..target }
    });
    let (target, asked) = match target {
        // An address of our own is no target: a client without NO_PROXY means us.
        Some(target) if snapshot.forward.is_own_listener(target) => {
            (None, request.headers().get(HOST))
        }
        target => (target, asked),
    };
    let asked = || Some(Authority::parse(asked?.to_str().ok()?));
    let host = target.or_else(asked);
    if let Some(service) = host.and_then(|host| snapshot.hosts.get(host)) {
        return Ok(Decision::Service(service));
    }
    if let Some(target) = target
        && let Some(service) = snapshot.by_url(target)
    {
        return Ok(Decision::Service(service));
    }
    if let Some(route) = host.and_then(|host| snapshot.routes.find_for_host(host, request)) {
        return Ok(Decision::Route(route));
    }
    if target.is_some() || request.method() == Method::CONNECT {
        return Ok(Decision::Forward);
    }
    match snapshot.routes.find_anywhere(request) {
        Some(route) => Ok(Decision::Route(route)),
        None => Ok(Decision::Fallthrough),
    }
}

/// Decides who gets a request that was on its way to an address. What nobody declared goes there:
/// its client asked the system to connect, not us.
fn decide_redirected<'s, B>(
    snapshot: &'s Snapshot,
    to: SocketAddr,
    request: &Request<B>,
    asked: Option<&HeaderValue>,
) -> Decision<'s> {
    let asked = asked.and_then(|asked| asked.to_str().ok()).map(Authority::parse);
    let named =
        asked.and_then(|asked| snapshot.hosts.get(asked).or_else(|| snapshot.by_url(asked)));
    let there = || {
        let ip = to.ip().to_canonical().to_string();
        snapshot.by_url(Authority { host: &ip, port: Some(to.port()) })
    };
    if let Some(service) = named.or_else(there) {
        return Decision::Service(service);
    }
    match asked.and_then(|asked| snapshot.routes.find_for_host(asked, request)) {
        Some(route) => Decision::Route(route),
        None => Decision::Forward,
    }
}
