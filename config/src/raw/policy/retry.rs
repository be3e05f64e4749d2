//! `retry:` as typed.

use crate::decode::{At, FromScalar, Many, Share, ShortOr, Wrong, record, scalars};
use crate::model::{DelayRange, HedgeAfter, RetryOn};
use crate::near;
use serde_json::{Number, Value as Json, json};
use std::time::Duration;

/// How many retries, or a map.
pub(crate) type RetryPolicy = ShortOr<At<u32>, RawRetry>;

record! {
    /// Further attempts after one that failed.
    RawRetry("retry") {
        /// How many attempts after the first. 0 is none.
        "retries" => retries: At<u32>,
        /// What is worth another attempt: connect, reset, timeout, 5xx, statuses, and gRPC codes
        /// such as UNAVAILABLE. Default connect, reset, timeout, 502, 503, 504, UNAVAILABLE.
        "on" => on: At<Many<At<RetryCondition>>>,
        /// Shortest and longest wait; doubles from one to the other, with full jitter. Default
        /// 25ms..250ms.
        "backoff" => backoff: At<DelayRange>,
        /// Most retries in flight as a share of the requests in flight, but never below 3. Default
        /// 20%.
        "budget" => budget: At<Share>,
        /// Repeats POST and PATCH like GET. Default false.
        "unsafe" => repeats_unsafe: At<bool>,
        /// A second attempt while the first is still waited for; reads only.
        "hedge" => hedge: At<RawHedge>,
    }
}

record! {
    /// A second attempt while the first is still waited for.
    RawHedge("hedge") {
        /// When: a duration, or a percentile of the latest answers such as p95.
        "after" required => after: At<HedgeAfter>,
        /// How many attempts besides the first. Default 1.
        "max" => max: At<u32>,
    }
}

/// One entry of `on:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryCondition {
    Connect,
    Reset,
    Timeout,
    All5xx,
    Status(u16),
    Grpc(u8),
}

impl FromScalar for RetryCondition {
    const WHAT: &'static str = "connect, reset, timeout, 5xx, a status or a gRPC code";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let words = ["connect", "reset", "timeout", "5xx"];
        Ok(match text {
            "connect" => Self::Connect,
            "reset" => Self::Reset,
            "timeout" => Self::Timeout,
            "5xx" => Self::All5xx,
            _ => match RetryOn::GRPC.iter().position(|name| *name == text) {
                Some(0) => return Err(Wrong::new("OK is no reason to try again")),
                Some(code) => Self::Grpc(u8::try_from(code).unwrap_or(u8::MAX)),
                None => {
                    let hint = near::suggest("words", text, words.into_iter().chain(RetryOn::GRPC));
                    return Err(Wrong::new(format!("unknown condition {text:?}")).hint(hint));
                }
            },
        })
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        let status = number.as_u64().and_then(|status| u16::try_from(status).ok());
        match status.filter(|status| (400..=599).contains(status)) {
            Some(status) => Ok(Self::Status(status)),
            None => Err(Wrong::new(format!("{text} is not a status of an error"))
                .hint("statuses worth another attempt are between 400 and 599")),
        }
    }

    fn json_schema() -> Json {
        json!({ "anyOf": [
            { "enum": ["connect", "reset", "timeout", "5xx"] },
            { "enum": &RetryOn::GRPC[1..] },
            { "type": "integer", "minimum": 400, "maximum": 599 },
        ]})
    }
}

impl FromScalar for HedgeAfter {
    const WHAT: &'static str = "a duration or a percentile such as p95";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let Some(percent) = text.strip_prefix('p') else {
            return Duration::from_text(text).map(Self::Delay);
        };
        match percent.parse::<f64>() {
            Ok(percent) if (1.0..100.0).contains(&percent) => Ok(Self::Percentile(percent / 100.0)),
            _ => Err(Wrong::new(format!("{text:?} is not a percentile"))
                .hint("write p50, p95, p99 or p99.9")),
        }
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        Duration::from_number(number, text).map(Self::Delay)
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^(p[0-9.]+|[0-9.]+(ms|s|m|h))$", "examples": ["p95", "100ms"] })
    }
}

scalars!(RetryCondition, HedgeAfter);
