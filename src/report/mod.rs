//! What `stitch up`, `proxy` and `mockd` tell on standard output: a table and a `ready` line for
//! people, one JSON object per line for programs.
//!
//! Everything here is plain data in, text out; [`Reporter`] alone knows the stream.

mod event;
mod listening;
mod paint;
mod problem;
mod reporter;
mod table;

pub(crate) use event::Event;
pub(crate) use listening::{Listening, Reloaded, ServiceLine, kind_of};
pub(crate) use paint::{Colour, Paint};
pub(crate) use problem::{ProblemLine, counted, summary};
pub(crate) use reporter::Reporter;
