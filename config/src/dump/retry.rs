//! `retry` in the dump.

use super::config::time;
use super::setting::setting;
use crate::model::{Hedge, HedgeAfter, Policies, Retry, RetryOn};
use serde_json::{Value as Json, json};

/// Adds what was written; a policy that is off is false.
pub(super) fn add(out: &mut Json, policies: &Policies) {
    out["retry"] = setting(&policies.retry, retry);
}

fn retry(retry: &Retry) -> Json {
    let (least, most) = retry.backoff;
    json!({
        "retries": retry.retries,
        "on": conditions(&retry.on),
        "backoff": format!("{}..{}", time(least), time(most)),
        "budget": retry.budget,
        "unsafe": retry.repeats_unsafe,
        "hedge": retry.hedge.map(hedge),
    })
}

/// The words of `on`, statuses as numbers.
fn conditions(on: &RetryOn) -> Vec<Json> {
    let words = [(on.connect, "connect"), (on.reset, "reset"), (on.timeout, "timeout")];
    let words = words.into_iter().chain([(on.all_5xx, "5xx")]);
    let words = words.filter(|(there, _)| *there).map(|(_, word)| json!(word));
    let statuses = on.statuses.iter().map(|status| json!(status));
    words.chain(statuses).chain(on.grpc_names().map(|name| json!(name))).collect()
}

fn hedge(hedge: Hedge) -> Json {
    json!({ "after": after(hedge.after), "max": hedge.max })
}

/// `100ms`, or `p95`.
pub(crate) fn after(after: HedgeAfter) -> String {
    match after {
        HedgeAfter::Delay(delay) => time(delay),
        // Rounded to what can be told apart of a percentile.
        HedgeAfter::Percentile(share) => format!("p{}", (share * 100_000.0).round() / 1000.0),
    }
}
