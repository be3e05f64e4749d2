//! Policies as their users meet them: how many calls reached the upstream, what the caller got.

mod asking;
mod watched;

mod breaker_api;
mod breaker_reloads;
mod breaker_verdicts;
mod breakers;
mod ejection;
mod hedges;
mod recovery;
mod retries;
mod timers;
mod upgrades;

use asking::{ask, get, in_front_of, metric};
