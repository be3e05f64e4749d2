//! HTTP/2 frame by frame, for peers that break its rules, stall, or leave in the middle of a message.
//!
//! `frame` is bytes, `connection` one end of a connection, `hpack` as much of header compression as
//! that needs. Who wants a well-behaved peer takes curl, nghttp or Python.

mod connection;
mod frame;
mod hpack;

pub use connection::{Connection, End, Stream, request};
pub use frame::{Frame, flag, kind, setting};
pub use hpack::block;
