//! HTTP/2 to endpoints: few connections per worker, many exchanges on each, bodies and trailers
//! passed on as they come.

mod connection;
mod exchange;
mod health;
mod pool;
mod receiving;
mod sending;
mod upgrade;

pub(super) use connection::open;
pub(super) use exchange::{Sent, Unsent, exchange};
pub(super) use pool::{Lead, Lease, lead, put, take};
pub(super) use upgrade::upgrade;
