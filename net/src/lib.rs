//! From sockets to requests: listeners, one connection loop, bodies, peers, drain.
//!
//! This crate knows no routes and no services. What a request means is decided behind [`Serve`]
//! (the proxy, the mock daemon, the admin API); what both sides of the proxy share — bodies,
//! reasons, the seam to mocks — is defined here so that neither has to know the other.

pub mod body;
pub mod conn;
pub mod draw;
pub mod grpc;
pub mod listen;
pub mod mock;
pub mod peer;
pub mod problem;
pub mod reason;
pub mod serve;
pub mod tls;

pub use body::{Body, BoxError};
pub use draw::{Draw, Draws};
pub use listen::{
    AcceptOptions, Address, BindError, Drain, Handler, HttpPort, Listener, Proxied, Workers,
    accept, introduction,
};
pub use mock::{Flow, MockService, MockSet, Offered};
pub use peer::Peer;
pub use problem::Problem;
pub use reason::Reason;
pub use serve::{Greeting, HandOver, Serve};
