//! Policies as typed: the same keys in `defaults`, services and routes.

mod all;
mod breaker;
mod edit;
mod or_off;
mod retry;

pub(crate) use all::{RawPolicies, with_policies};
pub(crate) use breaker::{RawBreaker, RawEject, RawSlow};
pub(crate) use edit::{RawBodyEdit, RawBodyEdits, RawHeaderEdit, RawHeaderEdits, RawRespond};
pub(crate) use or_off::{Enabled, OrOff};
pub(crate) use retry::{RawHedge, RawRetry, RetryCondition, RetryPolicy};
