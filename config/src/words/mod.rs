//! Policies in a line each, in the words of the file: for people who ask what a request would meet.

mod numbers;
mod policies;
mod resilience;
mod traffic;

pub use policies::{Described, in_force};
