//! What is asked over a connection that was made for it alone: a GET, over either version of HTTP,
//! and gRPC's health check.
//!
//! Nothing is pooled, no redirect is followed, and how long to wait is the caller's to say.

mod grpc;
mod http;
mod trouble;

pub use http::{Line, Stream, get, serving};
pub use trouble::Trouble;
