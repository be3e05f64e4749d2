//! `rate_limit:` and `concurrency:` — their defaults, the names of limits, and numbers that would let
//! nothing through or mean nothing.

use super::context::Context;
use super::policies::{Owner, of_requests};
use crate::decode::{At, Many, NonEmpty, Record as _, ShortOr};
use crate::model::{Concurrency, Rate, RateLimit, Setting};
use crate::raw::{
    ConcurrencyChoice, OrOff, RateLimitChoice, RawAdaptive, RawConcurrency, RawRateLimit,
};
use crate::yaml::Spot;
use std::time::Duration;

const KEYS: u32 = 100_000;

/// More than a process should remember: about 160 MB.
const MOST_KEYS: u32 = 10_000_000;

/// A bucket that takes longer to fill is a mistake.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

const WAIT: Duration = Duration::from_secs(1);

/// The rate limits of one place, named after it in the order of the file.
pub(super) fn rate_limit(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RateLimitChoice>>>,
    owner: &Owner,
) -> Setting<Vec<RateLimit>> {
    let Some(raw) = of_requests(cx, "rate_limit", raw, owner) else { return Setting::Inherited };
    let NonEmpty(Many(limits)) = match raw.value {
        OrOff::Off => return Setting::Off,
        OrOff::On(limits) => limits,
    };
    let limits: Vec<_> = limits
        .into_iter()
        .enumerate()
        .filter_map(|(index, raw)| {
            let id = format!("{}#{}", name(owner), index + 1);
            match raw {
                ShortOr::Short(rate) => Some(defaults(id, rate.value)),
                ShortOr::Long(raw) => one(cx, id, &raw.value),
            }
        })
        .collect();
    // Empty if every entry was wrong, which has been reported.
    if limits.is_empty() { Setting::Inherited } else { Setting::On(limits) }
}

fn name(owner: &Owner) -> String {
    match owner {
        Owner::Defaults => "defaults".to_owned(),
        Owner::Service(name, _) => name.clone(),
        Owner::Route(path) => format!("route {path}"),
    }
}

fn defaults(id: String, rate: Rate) -> RateLimit {
    RateLimit { id: id.into(), rate, burst: rate.count, by: None, keys: KEYS as usize }
}

fn one(cx: &mut Context<'_>, id: String, raw: &RawRateLimit) -> Option<RateLimit> {
    let limit = defaults(id, raw.rate.as_ref()?.value);
    let burst = burst(cx, raw.burst.as_ref(), limit.rate);
    if let Some(keys) = raw.keys.as_ref().filter(|_| !raw.has("by")) {
        cx.push(
            keys.spot
                .warning("\"keys\" does nothing without \"by\"")
                .hint("without it all requests have one bucket"),
        );
    }
    let keys = match &raw.keys {
        Some(At { spot, value: 0 }) => {
            cx.push(
                spot.error("with 0 keys nobody would be remembered, and nobody limited")
                    .hint("write at least 1, or rate_limit: none"),
            );
            KEYS
        }
        Some(At { spot, value }) if *value > MOST_KEYS => {
            cx.push(
                spot.error(format!("{value} keys are more than a process should remember"))
                    .hint(format!("write at most {MOST_KEYS}; one takes 16 bytes")),
            );
            KEYS
        }
        Some(At { value, .. }) => *value,
        None => KEYS,
    };
    let by = raw.by.as_ref().map(|by| by.value.clone());
    Some(RateLimit { burst, by, keys: usize::try_from(keys).unwrap_or(usize::MAX), ..limit })
}

fn burst(cx: &mut Context<'_>, raw: Option<&At<u32>>, rate: Rate) -> u32 {
    let Some(At { spot, value }) = raw else { return rate.count };
    if *value == 0 {
        cx.push(
            spot.error("a burst of 0 would refuse every request")
                .hint("write at least 1, which spaces requests evenly"),
        );
        return rate.count;
    }
    let fills_in = rate.per.as_secs_f64() / f64::from(rate.count) * f64::from(*value);
    if fills_in > LONGEST.as_secs_f64() {
        cx.push(
            spot.error(format!(
                "at {rate} a burst of {value} would take more than a year to return"
            ))
            .hint("write a smaller burst, or a higher rate"),
        );
        return rate.count;
    }
    *value
}

/// The bulkhead of one place.
pub(super) fn concurrency(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<ConcurrencyChoice>>>,
    owner: &Owner,
) -> Setting<Concurrency> {
    let Some(At { spot, value }) = of_requests(cx, "concurrency", raw, owner) else {
        return Setting::Inherited;
    };
    let raw = match value {
        OrOff::Off => return Setting::Off,
        OrOff::On(ShortOr::Short(_)) => return Setting::On(adaptive(cx, &RawAdaptive::default())),
        OrOff::On(ShortOr::Long(raw)) => raw,
    };
    if let Some(settings) = &raw.adaptive {
        refuse_beside_adaptive(cx, &raw);
        return Setting::On(adaptive(cx, &settings.value));
    }
    fixed(cx, &spot, &raw).map_or(Setting::Inherited, Setting::On)
}

fn refuse_beside_adaptive(cx: &mut Context<'_>, raw: &RawConcurrency) {
    let fixed = [
        ("max", raw.max.as_ref().map(|at| &at.spot), "adaptive has a max of its own; keep one"),
        ("queue", raw.queue.as_ref().map(|at| &at.spot), "an adaptive limit has no queue"),
        ("wait", raw.wait.as_ref().map(|at| &at.spot), "an adaptive limit has no queue"),
    ];
    for (key, spot, hint) in fixed {
        if let Some(spot) = spot {
            cx.push(spot.error(format!("{key:?} stands beside \"adaptive\"")).hint(hint));
        }
    }
}

fn fixed(cx: &mut Context<'_>, spot: &Spot, raw: &RawConcurrency) -> Option<Concurrency> {
    let Some(max) = &raw.max else {
        if raw.has("max") || raw.has("adaptive") {
            // It was wrong, and has been reported.
        } else if let Some(queue) = &raw.queue {
            cx.push(
                queue.spot.error("\"queue\" stands without \"max\"").hint(
                    "requests wait only if a limit keeps them; add how many may be in flight, such as max: 64",
                ),
            );
        } else {
            cx.push(
                spot.error("\"concurrency\" has neither \"max\" nor \"adaptive\"")
                    .hint("write { max: 64 }, adaptive or none"),
            );
        }
        return None;
    };
    if max.value == 0 {
        cx.push(
            max.spot
                .error("a max of 0 would refuse every request")
                .hint("write at least 1, or concurrency: none"),
        );
    }
    let queue = raw.queue.as_ref().map_or(0, |queue| queue.value);
    let wait = match &raw.wait {
        Some(wait) if queue == 0 && !(raw.has("queue") && raw.queue.is_none()) => {
            cx.push(
                wait.spot
                    .warning("\"wait\" does nothing without a queue")
                    .hint("add how many may wait, such as queue: 32"),
            );
            WAIT
        }
        Some(wait) if wait.value.is_zero() => {
            cx.push(
                wait.spot
                    .error("a wait of 0 empties the queue at once")
                    .hint("write how long to wait, such as 1s, or remove the queue"),
            );
            WAIT
        }
        Some(wait) => wait.value,
        None => WAIT,
    };
    Some(Concurrency::Fixed { max: max.value.max(1), queue, wait })
}

fn adaptive(cx: &mut Context<'_>, raw: &RawAdaptive) -> Concurrency {
    let mut min = raw.min.as_ref().map_or(3, |min| min.value);
    let max = raw.max.as_ref().map_or(1000, |max| max.value);
    let wrong = |cx: &mut Context<'_>, spot: &Spot, what: String| {
        cx.push(spot.error(what).hint("min is at least 1, and max at least min"));
    };
    if let Some(At { spot, value: 0 }) = &raw.min {
        wrong(cx, spot, "a min of 0 could refuse every request".to_owned());
        min = 1;
    }
    match (&raw.min, &raw.max) {
        (_, Some(At { spot, value: 0 })) => {
            wrong(cx, spot, "a max of 0 would refuse every request".to_owned());
        }
        (Some(_), Some(At { spot, value })) if *value < min => {
            wrong(cx, spot, format!("the max of {value} is below the min of {min}"));
        }
        (Some(At { spot, .. }), None) if max < min => {
            wrong(
                cx,
                spot,
                format!("the min of {min} is above the max, which is {max} by default"),
            );
        }
        _ => {}
    }
    let tolerance = raw.tolerance.as_ref().map_or(2.0, |tolerance| tolerance.value.0);
    // A low max alone means that the least limit is as low.
    Concurrency::Adaptive { min: min.min(max).max(1), max: max.max(1), tolerance }
}
