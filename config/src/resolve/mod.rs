//! Records to model: defaults, names, and every check that needs two values at once.
//!
//! Nothing here gives up. A value that is wrong is reported and replaced by its default, so that
//! later stages still find the rest and add their own problems to the same report.

mod auth;
mod balance;
mod body;
mod breaker;
mod checks;
mod claims;
mod context;
mod edge;
mod edits;
mod endpoint;
mod events;
mod fit;
mod graph;
mod health;
mod limits;
mod mirror;
mod policies;
mod proxy;
mod respond;
mod retry;
mod route;
mod service;
mod shadow;
mod socket;
mod timeouts;
mod tls;
mod upstreams;

pub(crate) use context::{Merged, resolve};
