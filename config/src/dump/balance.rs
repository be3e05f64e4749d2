//! `balance` and `slow_start` in the dump.

use super::config::time;
use super::setting::setting;
use crate::model::{Balance, HashKey, Policies};
use serde_json::{Value as Json, json};

/// Adds what was written; a policy that is off is false.
pub(super) fn add(out: &mut Json, policies: &Policies) {
    out["balance"] = setting(&policies.balance, |balance| json!(text(balance)));
    out["slow_start"] = setting(&policies.slow_start, |over| json!(time(*over)));
}

/// As it is written.
pub(crate) fn text(balance: &Balance) -> String {
    match balance {
        Balance::LeastRequest => "least_request".to_owned(),
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::Ewma => "ewma".to_owned(),
        Balance::Random => "random".to_owned(),
        Balance::Hash(HashKey::Header(name)) => format!("hash:header:{name}"),
        Balance::Hash(HashKey::Cookie(name)) => format!("hash:cookie:{name}"),
        Balance::Hash(HashKey::ClientIp) => "hash:client_ip".to_owned(),
        Balance::Hash(HashKey::Path(name)) => format!("hash:path:{name}"),
        Balance::Sticky(cookie) => format!("sticky:{cookie}"),
    }
}
