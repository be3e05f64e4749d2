//! Templates in answers, headers and events: compiled at load, rendered per request.
//!
//! One environment holds every template of a configuration; its evaluation is bounded by fuel and
//! by output size, and nothing in it reaches files or environment variables. What a template may
//! name is decided in `names`, what the names stand for in `scope`.

mod chance;
mod compile;
mod data;
mod environment;
mod error;
mod lex;
mod names;
mod scope;
mod text;
mod views;

#[cfg(test)]
mod tests;

pub(crate) use chance::Chance;
pub(crate) use compile::{Compiler, Role, Site};
pub(crate) use data::DataTemplate;
pub(crate) use error::RenderError;
pub(crate) use scope::Scope;
pub(crate) use text::{Rendered, TextTemplate};
pub(crate) use views::{MessageView, RequestView, ResponseView, to_value};
