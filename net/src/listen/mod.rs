//! Listeners, workers and drain: how a connection gets from the kernel to the thread that serves it.

mod accept;
mod bind;
mod drain;
mod http;
mod proxy_protocol;
mod workers;

pub use accept::{AcceptOptions, Handler, accept};
pub use bind::{Address, BindError, Listener};
pub use drain::Drain;
pub use http::HttpPort;
pub use proxy_protocol::{Proxied, introduction};
pub use workers::Workers;
