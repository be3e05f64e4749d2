//! From text to meaning: the YAML file that names services, read, checked and resolved.
//!
//! This crate does no async work and opens no sockets; the only I/O is reading its own files.
//! Start-up, `stitch check` and reload all go through [`load`], so they cannot disagree. Every
//! problem is collected with its place; nobody has to fix one mistake to hear of the next.

mod decode;
mod dump;
mod glob;
mod load;
mod raw;
mod resolve;
mod schema;
mod yaml;

pub mod data;
pub mod model;
pub mod near;
pub mod notation;
pub mod overlay;
pub mod pattern;
pub mod place;
pub mod problem;
pub mod watch;
pub mod words;

pub use data::Data;
pub use dump::{dump, dump_match, dump_policies, dump_route_policies, masked};
pub use load::{Loaded, load, load_text, load_with};
pub use model::Config;
pub use place::{Place, Sources};
pub use problem::{Level, Problem, Report};
pub use schema::schema;
