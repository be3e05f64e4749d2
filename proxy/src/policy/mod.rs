//! Decisions of policies: plain data in, plain decision out. Time and randomness are passed in;
//! nothing here waits, spawns or reads a clock.

pub mod breaker;
pub(crate) mod eject;
mod gradient;
#[cfg(test)]
mod gradient_tests;
pub(crate) mod health;
mod latency;
mod outcome;
mod retry;

pub(crate) use gradient::{Adaptive, Answer, Gradient};
pub(crate) use latency::Latencies;
pub(crate) use outcome::{Fault, Outcome};
pub(crate) use retry::{Budget, Retrying, backoff, is_worth_another, may_repeat, retry_after};
