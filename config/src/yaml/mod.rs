//! Text to located tree: what the file says, before anybody asks what it means.
//!
//! Scalars keep how they were quoted, because `${VAR}` expands in plain ones only, and every value
//! keeps its place and key path, so that checks that run much later can still point at it.

mod build;
mod expand;
mod node;
mod scalar;
mod secret;

#[cfg(test)]
mod tests;

pub(crate) use build::parse;
pub(crate) use expand::Env;
pub(crate) use node::{Entry, Node, Spot, Value, key_path};
pub(crate) use scalar::{Kind, Scalar};
