//! What a proxy in front of a remote daemon asks of the same engine: would it answer, and if not,
//! why not.

use crate::engine::Engine;
use crate::miss;
use http::Method;
use std::sync::atomic::Ordering;
use stitch_net::mock::Explain;
use stitch_net::{Body, Problem, Reason};

impl Engine {
    /// Whether an endpoint of the service (of all services for `None`) takes a method and path, the
    /// automatic answers to HEAD and OPTIONS included. Counts nothing.
    pub fn would_answer(&self, service: Option<&str>, method: &Method, path: &str) -> bool {
        let Some(mocks) = self.mocks_of(service) else { return false };
        mocks.find(method, path).is_some() || *method == Method::OPTIONS && mocks.is_declared(path)
    }

    /// Counts a miss and returns what explains it.
    pub fn miss(&self, service: Option<&str>) -> Explain {
        let Some(mocks) = self.mocks_of(service) else {
            return Box::new(|request: &http::Request<Body>| {
                Problem::new(Reason::NoService, "nothing is mocked").respond(request.headers())
            });
        };
        mocks.misses.fetch_add(1, Ordering::Relaxed);
        let (name, endpoints) = (mocks.name.clone(), mocks.endpoints.clone());
        Box::new(move |request| miss::explain(name.as_deref(), &endpoints, request))
    }
}
