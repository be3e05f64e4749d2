//! Who gets a request: listener port, host, url authority, routes, forward, fallthrough.

mod decide;
mod split;
mod table;

pub use decide::{Decision, Role, decide};
pub(crate) use split::{draw, stay};
pub(crate) use table::query_pairs;
pub use table::{RouteTable, Routed};
