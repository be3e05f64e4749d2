//! Changes of requests and answers on their way, and answers of the proxy's own. All of it is
//! prepared when the file is loaded; what a request needs besides is passed in.

mod body;
mod edits;
mod facts;
mod headers;
mod json;
mod respond;
mod stats;

pub(crate) use body::{BodyEditor, BodyEditors};
pub(crate) use edits::Edits;
pub(crate) use facts::Facts;
pub(crate) use headers::{Filled, HeaderEditors};
pub(crate) use respond::Respond;
pub(crate) use stats::EditStats;
