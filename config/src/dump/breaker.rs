//! `breaker` and `eject` in the dump.

use super::config::time;
use super::setting::setting;
use crate::model::{Breaker, Eject, Policies};
use serde_json::{Value as Json, json};

/// Adds what was written; a policy that is off is false.
pub(super) fn add(out: &mut Json, policies: &Policies) {
    out["breaker"] = setting(&policies.breaker, breaker);
    out["eject"] = setting(&policies.eject, eject);
}

fn breaker(breaker: &Breaker) -> Json {
    json!({
        "consecutive": breaker.consecutive.unwrap_or(0),
        "failure_rate": breaker.failure_rate.unwrap_or(0.0),
        "window": time(breaker.window),
        "min_calls": breaker.min_calls,
        "slow": breaker.slow.map(|slow| json!({ "over": time(slow.over), "rate": slow.rate })),
        "open": time(breaker.open),
        "open_factor": breaker.open_factor,
        "probes": breaker.probes,
        "half_open_timeout": time(breaker.half_open_timeout),
    })
}

fn eject(eject: &Eject) -> Json {
    json!({ "consecutive": eject.consecutive, "for": time(eject.lasts), "max": eject.max })
}
