//! `rate_limit` and `concurrency` in the dump.

use super::config::time;
use super::setting::setting;
use crate::model::{Concurrency, Policies, RateLimit};
use serde_json::{Value as Json, json};

/// Adds what was written; a policy that is off is false.
pub(super) fn add(out: &mut Json, policies: &Policies) {
    out["rate_limit"] =
        setting(&policies.rate_limit, |limits| limits.iter().map(rate_limit).collect());
    out["concurrency"] = setting(&policies.concurrency, concurrency);
}

fn rate_limit(limit: &RateLimit) -> Json {
    json!({
        "id": &*limit.id,
        "rate": limit.rate.to_string(),
        "burst": limit.burst,
        "by": limit.by.as_ref().map(ToString::to_string),
        "keys": limit.keys,
    })
}

fn concurrency(concurrency: &Concurrency) -> Json {
    match concurrency {
        Concurrency::Fixed { max, queue, wait } => {
            json!({ "max": max, "queue": queue, "wait": time(*wait) })
        }
        Concurrency::Adaptive { min, max, tolerance } => {
            json!({ "adaptive": { "min": min, "max": max, "tolerance": tolerance } })
        }
    }
}
