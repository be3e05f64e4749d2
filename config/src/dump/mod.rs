//! What is in force, as JSON that the API shows: `config.rs` has the whole, the others a policy each.

mod auth;
mod balance;
mod breaker;
mod config;
mod edge;
mod edits;
mod limits;
mod retry;
mod setting;

pub(crate) use balance::text as balance_text;
pub(crate) use config::time;
pub use config::{dump, dump_match, dump_policies, dump_route_policies, masked};
pub(crate) use retry::after;
