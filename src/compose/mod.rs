//! Compose: the same file, run as containers.
//!
//! `generate` turns a loaded configuration into the text of a compose file without touching
//! anything; `options` gathers what it cannot know by itself; `drive` runs the compose tool that
//! the machine has. `overrides` is the other end: what `stitch up` inside the container is told
//! on its command line, so that the user's own file is mounted as it is and never rewritten.

mod drive;
mod generate;
mod network;
mod options;
mod overrides;
mod ports;
mod yaml;

#[cfg(test)]
mod testing;

pub(crate) use drive::{ComposeError, FILE_NAME, Tool, down, up, write};
pub(crate) use generate::{Generated, generate};
pub(crate) use options::Options;
pub(crate) use overrides::{Overrides, parse_allow, parse_events, parse_url};
