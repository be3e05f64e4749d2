//! Real endpoints: which one, how to reach it, and connections kept for the next request.

mod balance;
mod connect;
mod endpoint;
mod pool;
mod resolve;
mod send;

pub use balance::{InFlight, pick};
pub use connect::{ConnectError, connect};
pub use endpoint::{AddressGuard, Endpoint};
pub use pool::Lease;
pub use send::{RequestHead, SendError, Sent, send};
