//! The mock daemon: answers requests from `endpoints:`, and moves events between services.
//!
//! [`Engine`] is the compiled mocks of one configuration: what it needs per request was made at
//! load. The proxy asks it in the same process through [`stitch_net::MockSet`]; [`Daemon`] serves
//! the same engine on sockets of its own. [`events`] carries what endpoints publish to those who
//! subscribe. This crate opens no HTTP clients: actions go through an injected [`stitch_net::Flow`].

mod answer;
mod counters;
mod daemon;
mod endpoint;
mod engine;
pub mod events;
mod file;
mod front_door;
mod miss;
mod nearest;
mod peek;
mod service;
mod shared;
mod template;
#[cfg(test)]
mod testing;

pub use daemon::{Daemon, Front};
pub use engine::{EndpointInfo, Engine, Explanation, ServiceInfo};
pub use nearest::Near;
