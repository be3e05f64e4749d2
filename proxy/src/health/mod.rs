//! Whether endpoints are well: what they are asked, and who asks.
//!
//! `ask` holds the questions, over a connection that somebody has made. [`Checks`] asks them of every
//! endpoint of services that say so, all the time, and tells their sets who is down; what it takes
//! to be down is decided by `policy::health`.

pub mod ask;

mod check;
mod checks;
mod record;
#[cfg(test)]
mod testing;

pub use checks::Checks;
pub use record::Health;
pub(crate) use record::Record;
