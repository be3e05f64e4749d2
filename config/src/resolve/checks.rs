//! `health.every` and what goes with it: how endpoints are asked all the time whether they are well.

use super::context::Context;
use super::upstreams;
use crate::decode::{At, Record as _};
use crate::model::{HealthCheck, HealthProbe, Kind, Scheme, Upstream};
use crate::raw::{OrOff, RawHealth, RawHealthDefaults, RawService};
use crate::yaml::Spot;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
const HEALTHY: u32 = 2;
const UNHEALTHY: u32 = 3;
const PATH: &str = "/health";

/// What `defaults` say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inherited {
    every: Option<Duration>,
    timeout: Option<Duration>,
    healthy: Option<u32>,
    unhealthy: Option<u32>,
}

/// `health` of `defaults`.
pub(super) fn defaults(cx: &mut Context<'_>, raw: &RawHealthDefaults) -> Inherited {
    let every = raw.every.as_ref().and_then(|every| match every.value {
        OrOff::Off => None,
        OrOff::On(time) => has_pause(cx, &every.spot, time).then_some(time),
    });
    Inherited {
        every,
        timeout: positive(cx, raw.timeout.as_ref()),
        healthy: at_least_one(cx, raw.healthy.as_ref(), HEALTHY),
        unhealthy: at_least_one(cx, raw.unhealthy.as_ref(), UNHEALTHY),
    }
}

/// How each endpoint of a service is checked; `path` and `grpc` are what `health` says of them.
pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: &RawService,
    kind: Kind,
    upstreams: &[Upstream],
    (path, grpc): (Option<&String>, Option<&String>),
) -> Option<HealthCheck> {
    let nothing = RawHealth::default();
    let health = raw.health.as_ref().map_or(&nothing, |health| &health.value);
    tcp_alone(cx, health);
    let every = every(cx, raw, health, kind, upstreams);
    let (own, inherited) = (timeout(cx, health, every), cx.health);
    let healthy = at_least_one(cx, health.healthy.as_ref(), HEALTHY);
    let unhealthy = at_least_one(cx, health.unhealthy.as_ref(), UNHEALTHY);
    let every = every?;
    let http2 = upstreams.first().is_some_and(|upstream| upstream.scheme == Scheme::H2c);
    let probe = match (grpc, path) {
        (Some(service), _) => HealthProbe::Grpc(service.clone()),
        _ if kind == Kind::Tcp || health.tcp.is_some() => HealthProbe::Tcp,
        // As with start order: who speaks HTTP/2 alone has no pages.
        (None, None) if http2 => HealthProbe::Tcp,
        (None, path) => HealthProbe::Http(path.map_or_else(|| PATH.to_owned(), Clone::clone)),
    };
    Some(HealthCheck {
        probe,
        every,
        timeout: own.unwrap_or_else(|| inherited.timeout.unwrap_or(TIMEOUT).min(every)),
        healthy: healthy.or(inherited.healthy).unwrap_or(HEALTHY),
        unhealthy: unhealthy.or(inherited.unhealthy).unwrap_or(UNHEALTHY),
    })
}

/// How often the service is checked, if it is.
fn every(
    cx: &mut Context<'_>,
    raw: &RawService,
    health: &RawHealth,
    kind: Kind,
    upstreams: &[Upstream],
) -> Option<Duration> {
    match &health.every {
        Some(At { spot, value: OrOff::On(time) }) => {
            let has_pause = has_pause(cx, spot, *time);
            (has_endpoints(cx, raw, kind, upstreams, spot) && has_pause).then_some(*time)
        }
        Some(At { value: OrOff::Off, .. }) => {
            idle_keys(cx, health);
            None
        }
        // It was wrong, and has been reported.
        None if health.has("every") => None,
        None => {
            if cx.health.every.is_none() {
                idle_keys(cx, health);
            }
            cx.health.every.filter(|_| kind != Kind::Infra && !upstreams.is_empty())
        }
    }
}

fn has_pause(cx: &mut Context<'_>, spot: &Spot, every: Duration) -> bool {
    if every.is_zero() {
        let zero = spot.error("an \"every\" of 0 would check without a pause");
        cx.push(zero.hint("write the time from one check to the next, such as 10s"));
    }
    !every.is_zero()
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
    for (key, spot) in keys {
        let Some(spot) = spot else { continue };
        let idle = spot.error(format!("{key:?} stands without \"every\""));
        cx.push(idle.hint("add every: 10s to check endpoints all the time, or remove it"));
    }
}

fn at_least_one(cx: &mut Context<'_>, count: Option<&At<u32>>, default: u32) -> Option<u32> {
    let At { spot, value: count } = count?;
    if *count == 0 {
        let zero = spot.error("0 checks in a row decide nothing");
        cx.push(zero.hint(format!("write 1 or more; the default is {default}")));
        return None;
    }
    Some(*count)
}

fn positive(cx: &mut Context<'_>, timeout: Option<&At<Duration>>) -> Option<Duration> {
    let At { spot, value: timeout } = timeout?;
    if timeout.is_zero() {
        let zero = spot.error("a timeout of 0 would fail every check");
        cx.push(zero.hint("write how long one check may take, such as 2s"));
        return None;
    }
    Some(*timeout)
}

/// The timeout of the service's own.
fn timeout(cx: &mut Context<'_>, health: &RawHealth, every: Option<Duration>) -> Option<Duration> {
    let timeout = positive(cx, health.timeout.as_ref())?;
    let is_slow = every.is_some_and(|every| every < timeout);
    if let Some(At { spot, .. }) = health.timeout.as_ref().filter(|_| is_slow) {
        cx.push(
            spot.warning("a check may take longer than the time to the next one")
                .hint("the next one then waits for it; write a timeout below \"every\""),
        );
    }
    Some(timeout)
}

/// Whether there is anything to check.
fn has_endpoints(
    cx: &mut Context<'_>,
    raw: &RawService,
    kind: Kind,
    upstreams: &[Upstream],
    every: &Spot,
) -> bool {
    if kind == Kind::Infra {
        cx.push(
            every
                .error("\"health.every\" means nothing with type: infra")
                .hint("the proxy leaves infrastructure alone; with type: tcp it checks and balances connections"),
        );
        return false;
    }
    if upstreams.is_empty() && !upstreams::are_unknown(raw, upstreams) {
        cx.push(
            every
                .error("\"health.every\" stands without a url whose endpoints could be checked")
                .hint("add url:, or remove it"),
        );
    }
    !upstreams.is_empty()
}
