//! Between browsers and services: what other origins may do, compression, and copies of requests for
//! another service. `docs/edge.md` says what each does; none of them decides who answers.

mod compression;
mod cors;
mod mirror;
mod origins;
mod teeing;

pub use compression::Negotiation;
pub use cors::{Cors, Granted, asked_method};
pub use mirror::{Mirror, MirrorView};
