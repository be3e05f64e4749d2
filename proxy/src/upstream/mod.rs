//! Real endpoints: which one, how to reach it, and connections kept for the next request.

mod balance;
mod endpoint;

mod connect;
mod names;
mod own;
mod resolve;
mod wire;

mod error;
mod head;
mod send;
mod trailers;

mod h1;
mod h2;

pub use balance::{Ask, EndpointSet, EndpointView, InFlight, Picked};
pub use connect::{ConnectError, Offer, connect, connect_saying};
pub use endpoint::{AddressGuard, Endpoint, Speaks, Tls};
pub(crate) use error::ExchangeError;
pub(crate) use h1::{Received, write_request_line};
pub(crate) use head::{H2Headers, HeaderSink, ReadyHeader, RequestHead};
pub use names::follow_names;
pub(crate) use own::{is_own, watch_own};
pub(crate) use resolve::resolve;
pub(crate) use send::{Limits, SendError, send};
pub use wire::Wire;
