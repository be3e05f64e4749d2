//! Who may come in: tokens, keys, passwords, and another service that is asked.
//!
//! [`Auth::check`] decides at once whenever it can; only keys that have to be fetched, bcrypt and the
//! other service make a request wait. What cannot be found out is never a yes.

mod admit;
mod check;
mod files;
mod stats;

mod api_key;
mod basic;
mod forward;
mod place;
mod verdicts;

mod claims;
mod jwt;
mod keys;
mod rotation;
mod source;

mod outgoing;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod jwt_tests;
#[cfg(test)]
mod testing;

pub use api_key::digest;

pub(crate) use admit::{Checked, Facts, Refusal};
pub(crate) use check::Auth;
pub(crate) use files::AuthFiles;
pub(crate) use outgoing::Caller;
pub(crate) use place::masked;
pub(crate) use stats::AuthStats;
