//! Events between services: what endpoints publish, and what subscriptions do with it.
//!
//! [`Bus`] is the seam: [`InProcess`] is a broker inside this process, [`Nats`] a client of a
//! server; [`choose`] picks one. [`Events`] owns the bus, takes what endpoints publish through a
//! [`Publisher`], and turns messages into requests or replies. Nothing here ever waits for a slow
//! reader: every queue has a bound, and what does not fit is dropped and counted.

mod bus;
mod choose;
mod hub;
mod in_process;
mod message;
mod nats;
mod publisher;
mod react;
mod stats;
mod subject;
mod subscription;

#[cfg(test)]
mod nats_server;
#[cfg(test)]
mod nats_tests;
#[cfg(test)]
mod tests;

pub use bus::{Bus, BusError, Dropped, Subscription, request};
pub use choose::choose;
pub use hub::Events;
pub use in_process::InProcess;
pub use message::Message;
pub use nats::Nats;
pub use publisher::Publisher;
pub use stats::{EventStats, SubscriptionStats};
pub use subject::{is_subject, matches};

pub(crate) use message::carried_headers;
pub(crate) use subscription::SubscriptionMock;
