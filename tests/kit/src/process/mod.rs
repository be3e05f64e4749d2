//! Programs under test and beside it: described, run, watched, ended.
//!
//! `run` describes one; `child` is the handle on a running one, ended by process group when it is
//! dropped; `output` is what it printed.

mod child;
mod output;
mod run;

pub(crate) use child::PATIENCE;
pub use child::{Exit, Process, Signal};
pub use run::{Output, Run, Running};

#[cfg(test)]
mod tests;
