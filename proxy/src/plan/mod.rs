//! The policies of a service, or of a route to it, compiled: what a request meets on its way.

mod blueprint;
mod gauges;
mod governing;
mod kept;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use blueprint::{Blueprint, Compiling};
pub(crate) use gauges::Gauges;
pub(crate) use governing::{Governing, Plan, Plans, Retries};
pub(crate) use kept::Kept;
pub use view::{PlanView, RoutePlan};
