//! Checks that hold the shape of the repository, so that its rules cannot rot.
//!
//! Each check reads a [`Tree`] and gives its findings as `path:line: what is wrong`, in one run.
//! `tests/repository.rs` applies them to this repository; the unit test beside each check shows
//! on an invented tree that it can fail. Formatting and lints are the compiler's business.

mod arrows;
mod code;
mod documents;
mod sources;
mod tree;

pub use arrows::{arrows, members};
pub use documents::{architecture, changelog, examples, links, machine_paths};
pub use sources::{
    clocks, headers, ignored, lengths, sleeps, tables_of_contents, unfinished, unwraps,
};
pub use tree::Tree;
