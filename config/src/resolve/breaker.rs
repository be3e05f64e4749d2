//! `breaker:` and `eject:` — their defaults, and numbers that would never or always open.

use super::context::Context;
use super::policies::{Owner, of_requests};
use crate::decode::{At, Record as _, Share, ShortOr};
use crate::model::{Breaker, Eject, Setting, Slow};
use crate::raw::{Enabled, OrOff, RawBreaker, RawEject, RawSlow};
use crate::yaml::Spot;
use std::time::Duration;

type Raw<T> = Option<At<OrOff<ShortOr<Enabled, T>>>>;

/// The breaker of a service or route.
pub(super) fn breaker(
    cx: &mut Context<'_>,
    raw: Raw<RawBreaker>,
    owner: &Owner,
) -> Setting<Breaker> {
    let Some(At { spot, value }) = of_requests(cx, "breaker", raw, owner) else {
        return Setting::Inherited;
    };
    match value {
        OrOff::Off => Setting::Off,
        OrOff::On(ShortOr::Short(Enabled)) => Setting::On(Breaker::default()),
        OrOff::On(ShortOr::Long(raw)) => Setting::On(settings(cx, &spot, &raw)),
    }
}

fn settings(cx: &mut Context<'_>, spot: &Spot, raw: &RawBreaker) -> Breaker {
    let default = Breaker::default();
    let consecutive = match &raw.consecutive {
        None => default.consecutive,
        Some(At { value: 0, .. }) => None,
        Some(At { value, .. }) => Some(*value),
    };
    let failure_rate = match &raw.failure_rate {
        None => default.failure_rate,
        Some(At { value, .. }) => (value.0 > 0.0).then_some(value.0),
    };
    if consecutive.is_none() && failure_rate.is_none() && !raw.has("slow") {
        cx.push(
            spot.error("nothing would ever open this breaker")
                .hint("write consecutive, failure_rate or slow; breaker: false for none at all"),
        );
    }
    Breaker {
        consecutive,
        failure_rate,
        window: positive(cx, raw.window.as_ref(), default.window, "a window of 0 holds no calls"),
        min_calls: count(
            cx,
            raw.min_calls.as_ref(),
            default.min_calls,
            "rates need at least 1 call",
        ),
        slow: raw.slow.as_ref().and_then(|slow| resolve_slow(cx, &slow.value)),
        open: positive(cx, raw.open.as_ref(), default.open, "an open time of 0 refuses nothing"),
        open_factor: raw.open_factor.as_ref().map_or(default.open_factor, |factor| factor.value.0),
        probes: count(cx, raw.probes.as_ref(), default.probes, "without probes it never closes"),
        half_open_timeout: positive(
            cx,
            raw.half_open_timeout.as_ref(),
            default.half_open_timeout,
            "a half_open_timeout of 0 lets no probe answer",
        ),
    }
}

fn resolve_slow(cx: &mut Context<'_>, raw: &RawSlow) -> Option<Slow> {
    let over = raw.over.as_ref()?;
    let over = positive(cx, Some(over), over.value, "every call is slower than 0");
    let rate = share(cx, raw.rate.as_ref(), 1.0, "a rate of 0 opens without slow calls");
    Some(Slow { over, rate })
}

/// When endpoints of a service are left out.
pub(super) fn eject(cx: &mut Context<'_>, raw: Raw<RawEject>, owner: &Owner) -> Setting<Eject> {
    let Some(At { spot, value }) = of_requests(cx, "eject", raw, owner) else {
        return Setting::Inherited;
    };
    if let Owner::Route(_) = owner {
        cx.push(
            spot.error("\"eject\" means nothing in a route")
                .hint("endpoints belong to services; write it there, or in defaults"),
        );
        return Setting::Inherited;
    }
    let default = Eject::default();
    let raw = match value {
        OrOff::Off => return Setting::Off,
        OrOff::On(ShortOr::Short(Enabled)) => return Setting::On(default),
        OrOff::On(ShortOr::Long(raw)) => raw,
    };
    let consecutive = raw.consecutive.as_ref();
    let lasts = raw.lasts.as_ref();
    Setting::On(Eject {
        consecutive: count(cx, consecutive, default.consecutive, "0 failures eject everything"),
        lasts: positive(cx, lasts, default.lasts, "a time of 0 ejects nothing"),
        max: share(cx, raw.max.as_ref(), default.max, "a max of 0 ejects nothing"),
    })
}

/// What was written, if it is more than none.
fn positive(
    cx: &mut Context<'_>,
    raw: Option<&At<Duration>>,
    default: Duration,
    wrong: &str,
) -> Duration {
    checked(cx, raw, default, wrong, "write a time such as 10s", |time| !time.is_zero())
}

fn count(cx: &mut Context<'_>, raw: Option<&At<u32>>, default: u32, wrong: &str) -> u32 {
    checked(cx, raw, default, wrong, "write a whole number from 1", |count| *count > 0)
}

fn share(cx: &mut Context<'_>, raw: Option<&At<Share>>, default: f64, wrong: &str) -> f64 {
    let hint = "write more than 0 and at most 100%";
    checked(cx, raw, Share(default), wrong, hint, |share| share.0 > 0.0).0
}

fn checked<T: Copy>(
    cx: &mut Context<'_>,
    raw: Option<&At<T>>,
    default: T,
    wrong: &str,
    hint: &str,
    sound: impl FnOnce(&T) -> bool,
) -> T {
    let Some(At { spot, value }) = raw else { return default };
    if sound(value) {
        return *value;
    }
    cx.push(spot.error(wrong).hint(hint));
    default
}
