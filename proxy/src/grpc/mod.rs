//! gRPC on its way through: deadlines that are kept, and gRPC-Web for browsers.

mod deadline;
mod web;

pub(crate) use deadline::{Deadline, Until};
pub(crate) use web::Web;
