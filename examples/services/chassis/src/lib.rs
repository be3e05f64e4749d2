//! What the example services have in common, so that each of them is its subject and little else.
//!
//! A service names its routes with [`Routes`], answers errors with [`Problem`], reads its input through
//! extractors such as [`Body`] and [`Page`], and hands its router to [`run()`]. Health, metrics, access
//! logs, the OpenAPI document and its page come with that. Nothing here knows about users or orders, or
//! about ServiceStitch.

mod docs;
mod extract;
mod log;
mod metrics;
mod openapi;
mod problem;
mod routes;
mod run;
mod setting;
mod trace;

pub use extract::{Body, Id, Listing, Page, Query};
pub use openapi::drift;
pub use problem::Problem;
pub use routes::{Routes, alive};
pub use run::run;
pub use setting::{SettingError, setting};
pub use trace::{trace_headers, trace_id};
