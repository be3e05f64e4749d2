//! An HTTP/1.1 client for one exchange at a time: a request is written from where it is decided and
//! its answer read by who waits for it, without a task or a channel in between.
//!
//! docs/decisions/0005 says why this is not hyper's.

mod connection;
mod exchange;
pub(crate) mod pool;

mod decoder;
mod receiving;
mod response;
mod sending;

pub(crate) use connection::Connection;
pub(crate) use exchange::{Exchange, Received};
pub(crate) use response::Head;
pub(crate) use sending::{Sending, is_idempotent, write_request_line};
