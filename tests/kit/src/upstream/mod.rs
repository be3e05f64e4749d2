//! Servers that stand where real services would, on free ports of 127.0.0.1.
//!
//! `listener` is the raw one: a thread per connection and a closure that does what it likes with
//! the stream. `server` speaks correct HTTP/1.1 on top of it; `echo` is the handler that tells
//! what it received.

mod echo;
mod listener;
mod server;

pub use echo::digest;
pub use listener::Upstream;
pub use server::{Answer, Request};
