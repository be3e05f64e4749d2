//! The real `stitch` binary: started on free ports with a file of its own.
//!
//! `builder` describes a run, `running` is the handle on one, `ready` what it said when everything
//! was bound.

mod builder;
mod ready;
mod running;

pub use builder::StitchBuilder;
pub use ready::Ready;
pub use running::Stitch;
