//! What becomes of the TLS of a request, for `stitch explain`: whether it ends here, or passes on
//! unread to a service of bytes, to the real service, or to wherever the client wanted to go.
//!
//! Clients begin TLS with the proxy itself, or behind CONNECT when they were told HTTPS_PROXY; which
//! one is meant is read from the port of the URL.

use http::Uri;
use http::uri::Scheme;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{ListenAddress, Service};
use stitch_config::pattern::{Authority, HostTable};
use stitch_proxy::{Explanation, Snapshot};

/// The port of `https` unless a URL names one.
const HTTPS: u16 = 443;

/// What becomes of it, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Handshake {
    pub(super) tls: Fate,
    pub(super) why: String,
}

/// Where the client's TLS ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// At the proxy, with a certificate of the file.
    Ended,
    /// At the proxy, with a certificate of its own CA.
    LookedInto,
    /// Behind the proxy, which reads nothing of it.
    PassedOn,
    /// Nowhere.
    Refused,
}

impl Fate {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Ended => "ends here",
            Self::LookedInto => "looked into",
            Self::PassedOn => "passed on unread",
            Self::Refused => "refused",
        }
    }
}

/// A URL that begins TLS.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    host: &'a str,
    port: u16,
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl<'a> Asked<'a> {
    fn of(url: &'a Uri) -> Option<Self> {
        let authority = url.authority().filter(|_| url.scheme() == Some(&Scheme::HTTPS))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Some(Self { host, port: authority.port_u16().unwrap_or(HTTPS) })
    }

    /// Whether it begins TLS with us rather than behind CONNECT.
    fn is_direct(self, config: &Config) -> bool {
        let listeners = config.proxy.listen.iter().filter_map(ListenAddress::tcp);
        let services = config.services.iter().filter_map(|service| service.port);
        listeners.map(|address| address.port()).chain(services).any(|port| port == self.port)
    }
}

/// The service of bytes that takes a URL, and the rule by which it does.
pub(super) fn bytes<'s>(
    snapshot: &'s Snapshot,
    url: &Uri,
) -> Option<(&'s Arc<Service>, &'static str)> {
    let authority = url.authority()?;
    let own = snapshot.tcp.iter().find(|service| {
        let port = service.declared.port;
        is_local(authority.host()) && port.is_some() && port == authority.port_u16()
    });
    if let Some(service) = own {
        return Some((&service.declared, "1. the service's own port"));
    }
    let asked = Asked::of(url)?;
    let target = Authority { host: asked.host, port: Some(asked.port) };
    // At a listener of ours the client's TLS names a host alone.
    let by_host = match asked.is_direct(&snapshot.config) {
        true => snapshot.tcp.of_sni(asked.host),
        false => snapshot.tcp.of_host(target),
    };
    if let Some(service) = by_host {
        return Some((&service.declared, "2. a declared host"));
    }
    let by_url = snapshot.tcp.of_url(target);
    by_url.map(|service| (&service.declared, "3. a target equal to the service's url"))
}

impl Handshake {
    /// Whether the proxy sees no request in it.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self.tls, Fate::PassedOn | Fate::Refused)
    }

    /// For a URL that a service of bytes takes.
    pub(super) fn of_bytes(url: &Uri) -> Option<Self> {
        let why = "the service is of type tcp";
        Asked::of(url).map(|_| Self { tls: Fate::PassedOn, why: why.to_owned() })
    }

    /// For a URL of which the proxy says this. `None` without TLS.
    pub(super) fn of(config: &Config, url: &Uri, found: &Explanation) -> Option<Self> {
        let asked = Asked::of(url)?;
        let (tls, why) = match asked.is_direct(config) {
            true => at_listener(config),
            false => in_tunnel(config, asked, found),
        };
        Some(Self { tls, why })
    }
}

fn at_listener(config: &Config) -> (Fate, String) {
    match &config.proxy.tls {
        None => (Fate::Refused, "proxy.tls names no certificate".to_owned()),
        Some(tls) if tls.client_ca.is_some() => {
            let why = "with a certificate of proxy.tls, for clients with one of client_ca";
            (Fate::Ended, why.to_owned())
        }
        Some(_) => (Fate::Ended, "with a certificate of proxy.tls".to_owned()),
    }
}

fn in_tunnel(config: &Config, asked: Asked<'_>, found: &Explanation) -> (Fate, String) {
    let service = match (&found.route, &*found.services) {
        (None, [candidate]) => config.service(&candidate.service),
        _ => None,
    };
    if service.is_none() && !is_routed(config, asked) {
        return (Fate::PassedOn, format!("to {asked}, which nothing declares"));
    }
    if config.proxy.forward.intercept_tls {
        return (Fate::LookedInto, "with the CA of this installation (`stitch ca`)".to_owned());
    }
    const SET: &str = "set proxy.forward.intercept_tls to have it routed and mocked";
    match service {
        None => (Fate::PassedOn, format!("to {asked}; {SET}")),
        Some(service) => match service.upstreams.first() {
            Some(upstream) => (Fate::PassedOn, format!("to {upstream}; {SET}")),
            None => (Fate::Refused, format!("a mock has no certificate to show; {SET}")),
        },
    }
}

/// Whether some route names the host.
fn is_routed(config: &Config, asked: Asked<'_>) -> bool {
    let mut hosts = HostTable::default();
    for route in &config.routes {
        route.matches.hosts.iter().for_each(|host| hosts.insert(host, ()));
    }
    hosts.get(Authority { host: asked.host, port: Some(asked.port) }).is_some()
}

/// Whether a host is this machine.
pub(super) fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
