//! What is in force, as JSON that the API shows: `config.rs` has the whole, the others a policy each.

mod auth;
mod balance;
mod breaker;
mod config;
mod edge;
mod edits;
mod limits;
mod setting;

pub use config::{dump, dump_policies, masked};
