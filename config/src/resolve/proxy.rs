//! `proxy:` — defaults and the rules between its keys.

use super::context::Context;
use super::timeouts::positive;
use super::{socket, tls};
use crate::decode::{At, NetRule, Record as _, ShortOr};
use crate::model::{
    AccessLog, AccessLogFormat, AccessLogOnly, AccessLogTarget, Admin, AllowRule, Forward, Limits,
    ListenAddress, NetClass, Proxy, Secret, Workers,
};
use crate::raw::{RawAccessLog, RawAdmin, RawForward, RawLimits, RawProxy};
use crate::yaml::Spot;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Below this hyper refuses to read, above it a header section is an attack.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = 8 << 10..=16 << 20;

pub(super) fn resolve(cx: &mut Context<'_>, raw: Option<&RawProxy>) -> Proxy {
    let listen = listen(cx, raw);
    let transparent = transparent(cx, raw);
    let local = listen.iter().all(ListenAddress::is_local)
        && transparent.iter().all(|address| address.ip().is_loopback());
    let allow_default = if local {
        [NetClass::Loopback, NetClass::Private, NetClass::Public].map(AllowRule::Class).to_vec()
    } else {
        Vec::new()
    };
    Proxy {
        admin: admin(cx, raw.and_then(|raw| raw.admin.as_ref())),
        workers: raw.and_then(|raw| raw.workers).map_or(Workers::Auto, |workers| workers.0),
        forward: forward(cx, raw.and_then(|raw| raw.forward.as_ref()), allow_default),
        trust: trust(cx, raw),
        access_log: access_log(cx, raw.and_then(|raw| raw.access_log.as_ref())),
        limits: limits(cx, raw.and_then(|raw| raw.limits.as_ref())),
        drain: raw.and_then(|raw| raw.drain).unwrap_or(Duration::from_secs(10)),
        tls: tls::server(cx, raw.and_then(|raw| raw.tls.as_ref())),
        proxy_protocol: raw.and_then(|raw| raw.proxy_protocol).unwrap_or(false),
        listen,
        transparent,
    }
}

fn listen(cx: &mut Context<'_>, raw: Option<&RawProxy>) -> Vec<ListenAddress> {
    let written = raw.and_then(|raw| raw.listen.as_ref());
    let addresses = written.map(|list| list.0.0.as_slice()).unwrap_or_default();
    if addresses.is_empty() {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        cx.claims.port(default, "proxy.listen", &Spot::default());
        return vec![default.into()];
    }
    let resolve = |At { spot, value }: &At<ListenAddress>| match value {
        ListenAddress::Tcp(address) => {
            cx.claims.port(*address, "proxy.listen", spot);
            value.clone()
        }
        ListenAddress::Unix(path) => {
            let path = socket::resolve(cx, spot, path);
            cx.claims.socket(&path, spot);
            ListenAddress::Unix(path)
        }
    };
    addresses.iter().map(resolve).collect()
}

fn transparent(cx: &mut Context<'_>, raw: Option<&RawProxy>) -> Vec<SocketAddr> {
    let written = raw.and_then(|raw| raw.transparent.as_ref());
    let addresses = written.map(|list| list.0.0.as_slice()).unwrap_or_default();
    for address in addresses {
        cx.claims.port(address.value, "proxy.transparent", &address.spot);
    }
    addresses.iter().map(|address| address.value).collect()
}

fn admin(cx: &mut Context<'_>, raw: Option<&ShortOr<At<SocketAddr>, RawAdmin>>) -> Admin {
    let (listen, token) = match raw {
        Some(ShortOr::Short(listen)) => (Some(listen), None),
        Some(ShortOr::Long(RawAdmin { listen, token, .. })) => (listen.as_ref(), token.as_ref()),
        None => (None, None),
    };
    let guarded = matches!(raw, Some(ShortOr::Long(admin)) if admin.has("token"));
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9900));
    let (address, spot) =
        listen.map_or((default, Spot::default()), |at| (at.value, at.spot.clone()));
    cx.claims.port(address, "proxy.admin", &spot);
    if !address.ip().to_canonical().is_loopback() && !guarded {
        cx.push(
            spot.error(format!("the admin API at {address} is open to others and has no token"))
                .hint("below \"admin:\" write \"listen:\" and \"token: ${STITCH_TOKEN}\", or listen on 127.0.0.1"),
        );
    }
    Admin { listen: address, token: token.map(|token| Secret::new(token.value.0.clone())) }
}

fn forward(
    cx: &mut Context<'_>,
    raw: Option<&RawForward>,
    allow_default: Vec<AllowRule>,
) -> Forward {
    let allow = raw.and_then(|raw| raw.allow.as_ref());
    let ports = raw.and_then(|raw| raw.connect_ports.as_ref());
    for port in ports.iter().flat_map(|many| &many.0).filter(|port| port.value == 0) {
        cx.push(port.spot.error("nothing can listen on port 0").hint("write a port such as 443"));
    }
    Forward {
        allow: allow
            .map_or(allow_default, |many| many.0.iter().map(|rule| rule.0.clone()).collect()),
        connect_ports: ports.map_or(vec![443, 8443], |many| {
            many.0.iter().map(|port| port.value).filter(|port| *port != 0).collect()
        }),
        intercept_tls: raw.and_then(|raw| raw.intercept_tls).unwrap_or(false),
    }
}

fn trust(cx: &mut Context<'_>, raw: Option<&RawProxy>) -> Vec<AllowRule> {
    let Some(rules) = raw.and_then(|raw| raw.trust.as_ref()) else {
        return vec![AllowRule::Class(NetClass::Loopback)];
    };
    let mut trusted = Vec::new();
    for At { spot, value: NetRule(rule) } in &rules.0 {
        match rule {
            AllowRule::Host(host) => cx.push(
                spot.error(format!("{host:?} is a host, and peers are known by address only"))
                    .hint("write loopback, private or an address range such as 10.0.0.0/8"),
            ),
            rule => trusted.push(rule.clone()),
        }
    }
    trusted
}

fn access_log(cx: &Context<'_>, raw: Option<&RawAccessLog>) -> AccessLog {
    let target = raw.and_then(|raw| raw.to.as_ref());
    AccessLog {
        format: raw.and_then(|raw| raw.format).unwrap_or(AccessLogFormat::Text),
        to: match target.map(|to| to.value.0.as_str()) {
            None | Some("stderr") => AccessLogTarget::Stderr,
            Some("stdout") => AccessLogTarget::Stdout,
            Some(path) => {
                let place = target.map(|to| to.spot.place).unwrap_or_default();
                AccessLogTarget::File(cx.sources.relative(place, path))
            }
        },
        only: raw.and_then(|raw| raw.only).map_or(AccessLogOnly::Errors, |only| only.0),
    }
}

fn limits(cx: &mut Context<'_>, raw: Option<&RawLimits>) -> Limits {
    let mut limits = Limits {
        header_bytes: 64 << 10,
        body: None,
        connections: 10_000,
        header_timeout: Duration::from_secs(10),
        idle: Duration::from_secs(75),
    };
    let Some(raw) = raw else { return limits };
    if let Some(bytes) = &raw.header_bytes {
        match usize::try_from(bytes.value.0) {
            Ok(size) if HEADER_BYTES.contains(&bytes.value.0) => limits.header_bytes = size,
            _ => cx.push(
                bytes
                    .spot
                    .error(format!("a header section of {} bytes is out of bounds", bytes.value.0))
                    .hint("write a size from 8KiB to 16MiB"),
            ),
        }
    }
    if let Some(connections) = &raw.connections {
        match usize::try_from(connections.value) {
            Ok(count) if count > 0 => limits.connections = count,
            _ => cx.push(connections.spot.error("a limit of 0 connections lets nobody in")),
        }
    }
    limits.body = raw.body.and_then(|body| body.0);
    limits.header_timeout =
        positive(cx, raw.header_timeout.clone()).unwrap_or(limits.header_timeout);
    limits.idle = positive(cx, raw.idle.clone()).unwrap_or(limits.idle);
    limits
}
