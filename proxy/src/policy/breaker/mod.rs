//! When calls are refused because what they lead to keeps failing.
//!
//! `Machine` decides, for a breaker of a service or route and for one endpoint that may be ejected.
//! Who shares it between threads, wakes it and tells of it is no concern of this module.

mod machine;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod model_tests;
mod rules;
mod state;
mod window;

pub use machine::{Changes, Machine, Reading, Rejected, Ticket};
pub use rules::Rules;
pub use state::{Cause, Change, Mode, State, Totals, Verdict};
pub use window::Counts;
