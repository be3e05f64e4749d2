//! `health.every` and what goes with it: how endpoints are asked all the time whether they are well.

use super::context::Context;
use super::upstreams;
use crate::decode::At;
use crate::model::{HealthCheck, HealthProbe, Kind, Scheme, Upstream};
use crate::raw::{RawHealth, RawService};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
const HEALTHY: u32 = 2;
const UNHEALTHY: u32 = 3;
const PATH: &str = "/health";

/// How each endpoint of a service is checked; `path` and `grpc` are what `health` says of them.
pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: &RawService,
    kind: Kind,
    upstreams: &[Upstream],
    (path, grpc): (Option<&String>, Option<&String>),
) -> Option<HealthCheck> {
    let health = &raw.health.as_ref()?.value;
    tcp_alone(cx, health);
    let Some(every) = &health.every else {
        idle_keys(cx, health);
        return None;
    };
    let thresholds = (
        at_least_one(cx, health.healthy.as_ref(), HEALTHY),
        at_least_one(cx, health.unhealthy.as_ref(), UNHEALTHY),
    );
    let timeout = timeout(cx, health, every.value);
    if every.value.is_zero() {
        let zero = every.spot.error("an \"every\" of 0 would check without a pause");
        cx.push(zero.hint("write the time from one check to the next, such as 10s"));
        return None;
    }
    if !has_endpoints(cx, raw, kind, upstreams, every) {
        return None;
    }
    let http2 = upstreams.first().is_some_and(|upstream| upstream.scheme == Scheme::H2c);
    let probe = match (grpc, path) {
        (Some(service), _) => HealthProbe::Grpc(service.clone()),
        _ if kind == Kind::Tcp || health.tcp.is_some() => HealthProbe::Tcp,
        // As with start order: who speaks HTTP/2 alone has no pages.
        (None, None) if http2 => HealthProbe::Tcp,
        (None, path) => HealthProbe::Http(path.map_or_else(|| PATH.to_owned(), Clone::clone)),
    };
    let (healthy, unhealthy) = thresholds;
    Some(HealthCheck { probe, every: every.value, timeout, healthy, unhealthy })
}

/// A connection is asked for, or more.
fn tcp_alone(cx: &mut Context<'_>, health: &RawHealth) {
    let Some(tcp) = &health.tcp else { return };
    let more = match (&health.path, &health.grpc) {
        (Some(_), _) => "path",
        (None, Some(_)) => "grpc",
        (None, None) => return,
    };
    let both = tcp.spot.error(format!("\"tcp\" stands beside {more:?}"));
    cx.push(both.hint("a connection is made for either; keep one of the two"));
}

/// Keys that only `every` gives a meaning.
fn idle_keys(cx: &mut Context<'_>, health: &RawHealth) {
    let keys = [
        ("timeout", health.timeout.as_ref().map(|at| &at.spot)),
        ("healthy", health.healthy.as_ref().map(|at| &at.spot)),
        ("unhealthy", health.unhealthy.as_ref().map(|at| &at.spot)),
    ];
    if crate::decode::Record::has(health, "every") {
        // It was wrong, and has been reported.
        return;
    }
    for (key, spot) in keys {
        let Some(spot) = spot else { continue };
        let idle = spot.error(format!("{key:?} stands without \"every\""));
        cx.push(idle.hint("add every: 10s to check endpoints all the time, or remove it"));
    }
}

fn at_least_one(cx: &mut Context<'_>, count: Option<&At<u32>>, default: u32) -> u32 {
    match count {
        Some(At { spot, value: 0 }) => {
            let zero = spot.error("0 checks in a row decide nothing");
            cx.push(zero.hint(format!("write 1 or more; the default is {default}")));
            default
        }
        Some(count) => count.value,
        None => default,
    }
}

fn timeout(cx: &mut Context<'_>, health: &RawHealth, every: Duration) -> Duration {
    let default = if every.is_zero() { TIMEOUT } else { TIMEOUT.min(every) };
    let Some(At { spot, value: timeout }) = &health.timeout else { return default };
    if timeout.is_zero() {
        let zero = spot.error("a timeout of 0 would fail every check");
        cx.push(zero.hint("write how long one check may take, such as 2s"));
        return default;
    }
    if *timeout > every && !every.is_zero() {
        cx.push(
            spot.warning("a check may take longer than the time to the next one")
                .hint("the next one then waits for it; write a timeout below \"every\""),
        );
    }
    *timeout
}

/// Whether there is anything to check.
fn has_endpoints(
    cx: &mut Context<'_>,
    raw: &RawService,
    kind: Kind,
    upstreams: &[Upstream],
    every: &At<Duration>,
) -> bool {
    if kind == Kind::Infra {
        cx.push(
            every
                .spot
                .error("\"health.every\" means nothing with type: infra")
                .hint("the proxy leaves infrastructure alone; with type: tcp it checks and balances connections"),
        );
        return false;
    }
    if upstreams.is_empty() && !upstreams::are_unknown(raw, upstreams) {
        cx.push(
            every
                .spot
                .error("\"health.every\" stands without a url whose endpoints could be checked")
                .hint("add url:, or remove it"),
        );
    }
    !upstreams.is_empty()
}
