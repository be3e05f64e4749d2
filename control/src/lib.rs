//! The admin API: health, metrics, the configuration in force, services and changes of them, breakers.
//!
//! Starts small. Every `/api/*` success is `{"data": …}`, every error problem+json. `/health/*` and
//! `/metrics` are public; the rest is guarded against browsers and, off loopback, by a token.

mod admin;
#[cfg(test)]
mod admin_tests;
mod api;
mod breakers;
#[cfg(test)]
mod breakers_tests;
mod changes;
mod described;
mod guard;
mod health;
mod prometheus;

pub use admin::{Admin, AdminGate, View};
pub use api::{
    Change, ChangeProblem, ChangeRefused, Counters, EndpointView, RouteView, ServiceView,
    SetModeRefused,
};
pub use health::Readiness;
pub use prometheus::Metrics;
