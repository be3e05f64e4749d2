//! Bytes that are passed on as they are: `type: tcp` services, tunnels and upgrades.
//!
//! `copy` moves one direction, `join` makes two streams one; `passage` does so for a service and
//! tells of it.

mod copy;
mod join;
#[cfg(test)]
mod join_tests;
mod line;
mod outcome;
mod passage;
mod port;
mod side;
#[cfg_attr(not(target_os = "linux"), path = "no_splice.rs")]
mod splice;
mod stats;
mod table;
mod tally;
mod tunnelled;

pub(crate) use join::join;
pub(crate) use line::Line;
pub(crate) use passage::{Relay, hand_over};
pub use port::ServicePort;
pub(crate) use side::Side;
pub use stats::{TcpReading, TcpStats};
pub use table::TcpServices;
pub(crate) use tally::Tally;
pub(crate) use tunnelled::Tunnelled;
