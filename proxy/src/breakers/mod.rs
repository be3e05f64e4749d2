//! Breakers as the process shares them: handles, what they tell, and who wakes them.
//!
//! What a breaker decides is in `policy/breaker`; here are the lock around it, the registry that
//! outlives reloads, the log of transitions, and the task that makes time pass without traffic.

mod handle;
#[cfg(test)]
mod handle_tests;
mod registry;
#[cfg(test)]
mod stress_tests;
mod told;
mod transitions;
mod view;
mod warden;

pub use handle::{Breaker, Permit};
pub use registry::Breakers;
pub use told::log_breakers;
pub use transitions::Followed;
pub use view::BreakerView;
pub use warden::watch_breakers;
