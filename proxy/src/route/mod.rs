//! Who gets a request: listener port, host, url authority, routes, forward, fallthrough.

mod authority;
mod decide;
mod hosts;
mod table;

pub use authority::Authority;
pub use decide::{Decision, Role, decide};
pub use hosts::HostTable;
pub use table::{RouteTable, Routed};
