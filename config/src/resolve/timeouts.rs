//! `timeout:` of defaults, services and routes.

use super::context::Context;
use crate::decode::{At, ShortOr};
use crate::model::{Kind, TimeoutOverrides, Timeouts};
use crate::raw::RawTimeout;
use crate::yaml::Spot;
use std::time::Duration;

/// The timers that were written; a bare duration is the whole request's.
pub(super) fn read(raw: ShortOr<At<Duration>, RawTimeout>) -> RawTimeout {
    match raw {
        ShortOr::Short(request) => RawTimeout { request: Some(request), ..RawTimeout::default() },
        ShortOr::Long(timers) => timers,
    }
}

/// The timer, unless it would fire at once.
pub(super) fn positive(cx: &mut Context<'_>, timer: Option<At<Duration>>) -> Option<Duration> {
    let timer = timer?;
    if timer.value.is_zero() {
        cx.push(
            timer
                .spot
                .error("a timeout of 0 would fail every request")
                .hint("write how long to wait, such as 30s"),
        );
        return None;
    }
    Some(timer.value)
}

/// What is inherited, overridden by what was written.
pub(super) fn merge(cx: &mut Context<'_>, raw: RawTimeout) -> Timeouts {
    let (inherited, written) = (cx.timeout, Written::of(&raw));
    let merged = overrides(cx, raw).over(inherited);
    written.check(cx, merged);
    merged
}

/// The timers that were written.
fn overrides(cx: &mut Context<'_>, raw: RawTimeout) -> TimeoutOverrides {
    TimeoutOverrides {
        connect: positive(cx, raw.connect),
        first_byte: positive(cx, raw.first_byte),
        per_try: positive(cx, raw.per_try),
        request: positive(cx, raw.request),
        idle: positive(cx, raw.idle),
    }
}

/// The timers of a route to one of these services.
pub(super) fn of_route(
    cx: &mut Context<'_>,
    raw: Option<At<ShortOr<At<Duration>, RawTimeout>>>,
    services: &[&str],
) -> TimeoutOverrides {
    let raw = raw.map(|raw| read(raw.value)).unwrap_or_default();
    let written = Written::of(&raw);
    let timers = overrides(cx, raw);
    let own = services.iter().filter_map(|service| cx.timeouts.get(*service).copied());
    for merged in own.map(|own| timers.over(own)).collect::<Vec<_>>() {
        if written.check(cx, merged) {
            break;
        }
    }
    timers
}

/// The timers of a service.
pub(super) fn of_service(
    cx: &mut Context<'_>,
    name: &str,
    raw: Option<At<ShortOr<At<Duration>, RawTimeout>>>,
    kind: Kind,
) -> Timeouts {
    let mut timers = raw.map(|raw| read(raw.value)).unwrap_or_default();
    if kind != Kind::Tcp {
        let merged = merge(cx, timers);
        cx.timeouts.insert(name.to_owned(), merged);
        return merged;
    }
    let of_requests = [timers.request.take(), timers.first_byte.take(), timers.per_try.take()];
    for timer in of_requests.into_iter().flatten() {
        cx.push(
            timer
                .spot
                .error("a timeout of requests means nothing with type: tcp")
                .hint("write timeout: { connect: 2s, idle: 5m }"),
        );
    }
    let inherited = cx.timeout;
    let own = overrides(cx, timers).over(inherited);
    Timeouts { request: None, first_byte: None, per_try: None, ..own }
}

/// Where timers that depend on each other are written.
struct Written {
    request: Option<Spot>,
    parts: [(&'static str, Option<Spot>); 2],
}

impl Written {
    fn of(raw: &RawTimeout) -> Self {
        let spot = |timer: &Option<At<Duration>>| timer.as_ref().map(|timer| timer.spot.clone());
        Self {
            request: spot(&raw.request),
            parts: [("first_byte", spot(&raw.first_byte)), ("per_try", spot(&raw.per_try))],
        }
    }

    /// A part that is longer than the whole never fires. Tells whether there was one.
    fn check(&self, cx: &mut Context<'_>, merged: Timeouts) -> bool {
        let Some(request) = merged.request else { return false };
        let mut found = false;
        for ((name, spot), part) in self.parts.iter().zip([merged.first_byte, merged.per_try]) {
            let Some(spot) = spot.as_ref().or(self.request.as_ref()) else { continue };
            if part.is_some_and(|part| part > request) {
                found = true;
                cx.push(
                    spot.error(format!("{name} is longer than the request's {request:?}"))
                        .hint(format!("{name} is one attempt of the request; write less")),
                );
            }
        }
        found
    }
}
