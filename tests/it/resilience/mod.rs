//! Policies as their users meet them: how many calls reached the upstream, what the caller got.

mod asking;
mod watched;

mod affinity;
mod breaker_api;
mod breaker_reloads;
mod breaker_verdicts;
mod breakers;
mod bulkheads;
mod changes;
mod degradation;
mod ejection;
mod hedges;
mod layers;
mod limits;
mod recovery;
mod retries;
mod timers;
mod upgrades;

use asking::{ask, at_once, get, in_front_of, metric, with_status};
