//! Who gets a request: listener port, host, url authority, routes, forward, fallthrough.

mod cookies;
mod decide;
mod split;
mod table;

pub(crate) use cookies::cookies;
pub use decide::{Decision, Role, decide};
pub(crate) use split::{draw, set_cookie, stay};
pub(crate) use table::query_pairs;
pub use table::{RouteTable, Routed};
