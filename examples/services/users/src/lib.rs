//! The `users` service: who the customers are. Everything is under `/api/v1/users` and kept in memory.
//!
//! One of two services to put behind ServiceStitch; it is written as if ServiceStitch did not exist. It is a
//! library so that the tests of `orders` can start a real one.

mod api;
mod email;
mod store;

pub use api::app;
