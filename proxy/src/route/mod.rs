//! Who gets a request: listener port, host, url authority, routes, forward, fallthrough.

mod decide;
mod table;

pub use decide::{Decision, Role, decide};
pub use table::{RouteTable, Routed};
