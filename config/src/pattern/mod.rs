//! What requests are told apart by: hosts, and path patterns of one grammar for mock endpoints and
//! routes.
//!
//! `/charges/{id}` matches segment by segment, `/static/**` the rest (zero segments or more, only at
//! the end), `~^/v[12]/` is a regular expression. Literal beats `{name}` beats `**`, decided at the
//! first segment that differs; regular expressions come last, in file order.
//!
//! Matching works on percent-decoded segments, except that an encoded slash never separates.

mod authority;
mod hosts;
mod index;
mod path;
mod template;

pub use authority::Authority;
pub use hosts::HostTable;
pub use index::PathIndex;
pub use path::{Captures, PathPattern, PatternError};
pub use template::PathTemplate;
