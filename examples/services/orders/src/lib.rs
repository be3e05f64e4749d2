//! The `orders` service: what customers bought. Everything is under `/api/v1/orders` and kept in memory.
//!
//! One of two services to put behind ServiceStitch; it is written as if ServiceStitch did not exist. It asks
//! `users` over HTTP whether a customer exists, and that call is what makes the pair worth proxying.

mod api;
mod order;
mod status;
mod store;
mod users;

pub use api::app;
pub use users::{BadUrl, UsersClient};
