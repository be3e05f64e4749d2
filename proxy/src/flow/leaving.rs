//! What is done to an answer as it leaves, whoever made it.

use crate::edge::{Granted, Negotiation};
use crate::edit::Filled;
use crate::plan::Plan;
use http::Response;
use std::sync::Arc;
use stitch_net::Body;

/// What the request's policies want of its answer; decided while the request was there to be asked.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    /// `headers.response` of a plan, and what is filled in.
    pub edits: Option<(Arc<Plan>, Filled)>,
    /// `compression`: what the client accepts.
    pub negotiation: Option<Negotiation>,
    /// `cors`: what scripts of the request's origin may do.
    pub granted: Option<Granted>,
}

impl Leaving {
    /// Last things last: what other origins may read is said of the answer as it is sent.
    pub fn apply(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some((plan, filled)) = &self.edits {
            let governing = plan.governing.as_ref();
            let editor = governing.and_then(|governing| governing.edits.as_ref());
            if let Some(editor) = editor.and_then(|edits| edits.headers.response.as_ref()) {
                editor.apply(filled, response.headers_mut());
            }
        }
        if let Some(negotiation) = &self.negotiation {
            response = negotiation.apply(response);
        }
        if let Some(granted) = &self.granted {
            granted.mark(response.headers_mut());
        }
        response
    }
}
