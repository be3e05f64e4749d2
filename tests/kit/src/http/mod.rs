//! A tiny blocking HTTP/1.1 client for exactness: it sends the bytes it is given and shows what
//! came back, including what a polite client would hide.
//!
//! `message` turns bytes into messages (the echo upstream reads its requests with it too),
//! `client` is the connection. Nothing is retried, followed, decoded or repaired.

mod client;
pub(crate) mod message;

pub use client::{Connection, get, raw, send};
pub use message::{Headers, Response};

#[cfg(test)]
mod tests;
