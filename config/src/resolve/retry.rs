//! `retry:` — how often, when, and what contradicts itself.

use super::context::Context;
use super::policies::{Owner, of_requests};
use crate::decode::{At, Many, Record as _, Share, ShortOr};
use crate::model::{Hedge, HedgeAfter, Retry, RetryOn, Setting};
use crate::raw::{OrOff, RawHedge, RawRetry, RetryCondition, RetryPolicy};

/// More would be no retrying but a siege.
const MOST: u32 = 20;

pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RetryPolicy>>>,
    owner: &Owner,
) -> Setting<Retry> {
    let Some(At { spot, value }) = of_requests(cx, "retry", raw, owner) else {
        return Setting::Inherited;
    };
    let raw = match value {
        OrOff::Off => return Setting::Off,
        OrOff::On(ShortOr::Short(retries)) => {
            RawRetry { retries: Some(retries), written: vec!["retries"], ..RawRetry::default() }
        }
        OrOff::On(ShortOr::Long(raw)) => raw,
    };
    let retries = raw.retries.as_ref().map_or(0, |retries| at_most(cx, retries, "retries"));
    let what = match (retries, raw.has("hedge")) {
        (0, false) if raw.has("budget") => Some("a budget without retries does nothing"),
        (0, false) if !raw.has("retries") => {
            Some("\"retry\" says neither how often nor when to hedge")
        }
        _ => None,
    };
    if let Some(what) = what {
        cx.push(
            spot.error(what)
                .hint("add retries: 3, or hedge: { after: p95 }; write retry: none for neither"),
        );
        return Setting::Off;
    }
    let hedge = raw.hedge.and_then(|hedge| self::hedge(cx, hedge.value));
    if retries == 0 && hedge.is_none() {
        return Setting::Off;
    }
    let defaults = Retry::default();
    Setting::On(Retry {
        retries,
        on: raw.on.map_or(defaults.on, |on| conditions(on.value)),
        backoff: raw.backoff.map_or(defaults.backoff, |range| (range.value.min, range.value.max)),
        budget: raw.budget.map_or(defaults.budget, |budget| {
            let At { spot, value: Share(share) } = budget;
            if share == 0.0 {
                cx.push(
                    spot.error("a budget of 0 leaves only the floor of 3 retries")
                        .hint("write 20%, or retry: none"),
                );
            }
            share
        }),
        repeats_unsafe: raw.repeats_unsafe.is_some_and(|flag| flag.value),
        hedge,
    })
}

fn at_most(cx: &mut Context<'_>, count: &At<u32>, what: &str) -> u32 {
    if count.value > MOST {
        cx.push(
            count
                .spot
                .error(format!("{} {what} are more than {MOST}", count.value))
                .hint("each caller above multiplies them; write 1 to 3"),
        );
    }
    count.value.min(MOST)
}

fn hedge(cx: &mut Context<'_>, raw: RawHedge) -> Option<Hedge> {
    let max = raw.max.map_or(1, |max| {
        if max.value == 0 {
            cx.push(max.spot.error("a hedge of 0 attempts is none").hint("remove the hedge"));
        }
        at_most(cx, &max, "hedges")
    });
    let after = raw.after?;
    if matches!(after.value, HedgeAfter::Delay(delay) if delay.is_zero()) {
        let zero = after.spot.error("a hedge after 0 would double every request");
        cx.push(zero.hint("write p95, or a duration such as 50ms"));
    }
    Some(Hedge { after: after.value, max })
}

fn conditions(Many(written): Many<At<RetryCondition>>) -> RetryOn {
    let mut on = RetryOn {
        connect: false,
        reset: false,
        timeout: false,
        statuses: Vec::new(),
        all_5xx: false,
        grpc: Vec::new(),
    };
    for condition in written {
        match condition.value {
            RetryCondition::Connect => on.connect = true,
            RetryCondition::Reset => on.reset = true,
            RetryCondition::Timeout => on.timeout = true,
            RetryCondition::All5xx => on.all_5xx = true,
            RetryCondition::Status(status) => on.statuses.push(status),
            RetryCondition::Grpc(code) => on.grpc.push(code),
        }
    }
    on
}
