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

    /// The service whose endpoint a method and path would meet, looking through all of them.
    pub fn whose(&self, method: &Method, path: &str) -> Option<&str> {
        let endpoint = self.mocks_of(None)?.find(method, path)?;
        Some(&endpoint.service)
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

#[cfg(test)]
mod tests {
    use crate::testing::{api, read, request};
    use http::Method;

    #[tokio::test]
    async fn peeking_agrees_with_offering() {
        let engine = api("- { path: /a, response: x }");
        for (service, method, path, answers) in [
            (Some("api"), Method::GET, "/a", true),
            (Some("api"), Method::HEAD, "/a", true),
            (Some("api"), Method::OPTIONS, "/a", true),
            (None, Method::GET, "/a", true),
            (Some("api"), Method::POST, "/a", false),
            (Some("api"), Method::OPTIONS, "/b", false),
            (Some("other"), Method::GET, "/a", false),
        ] {
            assert_eq!(engine.would_answer(service, &method, path), answers, "{method} {path}");
        }
        let asked = request("GET /b");
        let seen = read(engine.miss(Some("api"))(&asked)).await;
        assert_eq!(seen.header("x-stitch-reason"), "no_endpoint");
        let seen = read(engine.miss(Some("other"))(&asked)).await;
        assert_eq!(seen.header("x-stitch-reason"), "no_service");
        let info = &engine.services()[0];
        assert_eq!((info.misses, info.endpoints[0].hits), (1, 0));
    }
}
