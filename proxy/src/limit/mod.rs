//! How much is let through: rate limits and bulkheads, asked before anything of a request is read.
//!
//! Both keep what they count across reloads. What an answer to a refused request looks like is
//! decided elsewhere; here are the numbers and header values that it needs.

pub mod bulkhead;
#[cfg(test)]
mod publish_tests;
pub mod rate;
mod total;
