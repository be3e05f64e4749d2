//! Which of several endpoints gets a request: those that are fit, by weight and as the service asks.

mod alias;
mod condition;
mod group;
mod in_flight;
mod key;
mod latency;
mod ready;
mod ring;
mod schedule;
mod set;
mod told;
mod view;
mod why;

#[cfg(test)]
mod tests;

pub use condition::Condition;
pub use in_flight::InFlight;
pub(crate) use key::hash;
pub use set::{Ask, EndpointSet, Picked};
pub use view::EndpointView;
