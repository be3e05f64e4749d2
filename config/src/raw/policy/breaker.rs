//! `breaker` and `eject` as typed.

use crate::decode::{At, FromScalar, Share, Wrong, record, scalars};
use serde_json::{Number, Value as Json, json};
use std::time::Duration;

record! {
    /// When calls are refused at once.
    RawBreaker("breaker") {
        /// Opens after this many failures in a row; 0: never for that. Default 5.
        "consecutive" => consecutive: At<u32>,
        /// Opens at this share of failures in the window; 0: never for that. Default 50%.
        "failure_rate" => failure_rate: At<Share>,
        /// Length of the window, which has 10 buckets. Default 10s.
        "window" => window: At<Duration>,
        /// Calls in the window below which rates say nothing, at least 1. Default 20.
        "min_calls" => min_calls: At<u32>,
        /// Opens for slow calls. Default: never.
        "slow" => slow: At<RawSlow>,
        /// How long it stays open at first. Default 60s.
        "open" => open: At<Duration>,
        /// Each time that a probe fails the open time is multiplied by this, up to 300s. Default 1.
        "open_factor" => open_factor: At<Factor>,
        /// Good probes that close it, and the most that are in flight at once. Default 3.
        "probes" => probes: At<u32>,
        /// Half-open without a verdict, it opens again after this. Default 30s.
        "half_open_timeout" => half_open_timeout: At<Duration>,
    }
}

record! {
    /// What counts as slow, and how much of it is too much.
    RawSlow("slow") {
        /// Response headers later than this are slow.
        "over" required => over: At<Duration>,
        /// Share of slow calls in the window that opens. Default 100%.
        "rate" => rate: At<Share>,
    }
}

record! {
    /// When one endpoint gets no requests for a while.
    RawEject("eject") {
        /// After this many failures in a row, at least 1. Default 5.
        "consecutive" => consecutive: At<u32>,
        /// How long. Default 30s.
        "for" => lasts: At<Duration>,
        /// Largest share of the endpoints that is out at once; only 100% lets the last one go.
        /// Default 50%.
        "max" => max: At<Share>,
    }
}

/// What something is multiplied by, at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factor(pub(crate) f64);

impl FromScalar for Factor {
    const WHAT: &'static str = "a number from 1";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong::new(format!("expected {}, found {text:?}", Self::WHAT));
        Err(match text.parse::<f64>() {
            Ok(_) => wrong.hint("remove the quotes"),
            Err(_) => wrong.hint("write it as 2 or 1.5"),
        })
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        match number.as_f64() {
            Some(factor) if factor >= 1.0 => Ok(Self(factor)),
            _ => Err(Wrong::new(format!("expected {}, found the number {text}", Self::WHAT))
                .hint("1 keeps the time as it is, 2 doubles it")),
        }
    }

    fn json_schema() -> Json {
        json!({ "type": "number", "minimum": 1 })
    }
}
scalars!(Factor);
