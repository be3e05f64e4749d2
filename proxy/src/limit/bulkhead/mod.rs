//! Bulkheads: no more than so many requests of a service at once, the next ones in a short queue.
//!
//! A [`Bulkhead`] outlives configurations: a new limit is put into the one at work, so requests in
//! flight stay counted. Where the limit is adaptive, `policy` decides it from what
//! [`Place::answered`] is told.

mod enter;
#[cfg(test)]
mod enter_tests;
mod place;
mod state;
mod view;

pub use enter::{Bulkhead, Overloaded};
pub use place::Place;
pub use view::{AdaptiveView, BulkheadView};
