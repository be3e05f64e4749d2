//! Which of several endpoints gets a request: those that are fit, by weight and as the service asks.

mod alias;
mod condition;
mod in_flight;
mod latency;
mod ready;
mod set;

pub use condition::Condition;
pub use in_flight::InFlight;
pub use set::{Ask, EndpointSet, Picked};
