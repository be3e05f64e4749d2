//! Policies as typed: the same keys in `defaults`, services and routes.

mod all;
mod auth;
mod balance;
mod breaker;
mod cors;
mod edit;
mod health;
mod limit;
mod mirror;
mod or_off;
mod retry;

pub(crate) use all::{RawPolicies, with_policies};
pub(crate) use auth::{
    HttpUrl, RawApiKeys, RawAuth, RawBasic, RawForwardAuth, RawJwks, RawJwt, SecretText,
};
pub(crate) use breaker::{RawBreaker, RawEject, RawSlow};
pub(crate) use cors::{Origin, RawCors};
pub(crate) use edit::{RawBodyEdit, RawBodyEdits, RawHeaderEdit, RawHeaderEdits, RawRespond};
pub(crate) use health::{RawHealth, RawHealthDefaults};
pub(crate) use limit::{
    ConcurrencyChoice, RateLimitChoice, RawAdaptive, RawConcurrency, RawRateLimit,
};
pub(crate) use mirror::{MirrorChoice, RawMirror};
pub(crate) use or_off::{Enabled, OrOff};
pub(crate) use retry::{RawHedge, RawRetry, RetryCondition, RetryPolicy};
