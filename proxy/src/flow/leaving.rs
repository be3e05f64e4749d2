//! What is done to an answer as it leaves, whoever made it.

use crate::edge::{Granted, Negotiation};
use http::Response;
use stitch_net::Body;

/// What the request's policies want of its answer; decided while the request was there to be asked.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    /// `compression`: what the client accepts.
    pub negotiation: Option<Negotiation>,
    /// `cors`: what scripts of the request's origin may do.
    pub granted: Option<Granted>,
}

impl Leaving {
    /// Last things last: what other origins may read is said of the answer as it is sent.
    pub fn apply(&self, response: &mut Response<Body>) {
        if let Some(negotiation) = &self.negotiation {
            *response = negotiation.apply(std::mem::take(response));
        }
        if let Some(granted) = &self.granted {
            granted.mark(response.headers_mut());
        }
    }
}
