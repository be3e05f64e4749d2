//! Real endpoints: which one, how to reach it, and connections kept for the next request.

mod balance;
mod connect;
mod endpoint;
mod h1;
mod resolve;
mod send;

pub use balance::{InFlight, pick};
pub use connect::{ConnectError, connect};
pub use endpoint::{AddressGuard, Endpoint};
pub(crate) use h1::{ExchangeError, Received, RequestHead, write_header, write_request_line};
pub(crate) use send::{SendError, send};
