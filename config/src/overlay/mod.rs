//! Changes of policies over what the files say: an overlay file beside the original, and changes at
//! run time.
//!
//! Both are merged into the tree of the file that declares the service before anything is decoded,
//! so that every check, place and hint is the same wherever a value comes from.

mod apply;
mod change;
mod file;
mod merge;
#[cfg(test)]
mod tests;
mod values;
mod written;

pub(crate) use apply::{Document, apply, can_change};
pub use change::{Change, Changes, What};
pub(crate) use file::is_overlay;
pub use file::{path_of, persisted};
pub(crate) use merge::merge;
pub use values::{Level, Values};
pub use written::Written;
