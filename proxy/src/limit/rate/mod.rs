//! Rate limits: GCRA by the `governor` crate, one bucket per rule or per key of a rule.
//!
//! [`RateLimiters`] lives as long as the process and hands every configuration its [`RateLimits`];
//! a rule that did not change keeps its buckets. Time is passed in, so a check reads no clock.

mod bounded;
mod buckets;
mod limiter;
mod refused;
mod registry;
#[cfg(test)]
mod registry_tests;
mod who;

pub use limiter::RateLimitView;
pub use refused::Refused;
pub(crate) use refused::retry_seconds;
pub use registry::{RateLimiters, RateLimits};
pub use who::Who;
