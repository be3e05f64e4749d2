//! Matching: which endpoint of one service, or of all, takes a request.

use crate::answer::{respond, tagged};
use crate::endpoint::EndpointMock;
use crate::miss;
use crate::shared::Shared;
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stitch_config::pattern::PathIndex;
use stitch_net::reason::{ENDPOINT, SERVICE, SOURCE};
use stitch_net::{Body, MockService, Offered};

/// The mock of one service, or the mocks of all.
pub(crate) struct ServiceMock(Arc<Mocks>);

/// Endpoints that are matched together.
pub(crate) struct Mocks {
    /// The service; `None` for all services together.
    pub(crate) name: Option<Arc<str>>,
    /// In file order.
    pub(crate) endpoints: Vec<Arc<EndpointMock>>,
    /// Requests that nothing took. Survives reloads.
    pub(crate) misses: Arc<AtomicU64>,
    index: PathIndex<Arc<EndpointMock>>,
    shared: Arc<Shared>,
}

impl ServiceMock {
    pub(crate) fn new(
        name: Option<Arc<str>>,
        endpoints: Vec<Arc<EndpointMock>>,
        misses: Arc<AtomicU64>,
        shared: Arc<Shared>,
    ) -> Self {
        let mut index = PathIndex::default();
        for endpoint in &endpoints {
            index.insert(&endpoint.model.path, endpoint.clone());
        }
        Self(Arc::new(Mocks { name, endpoints, misses, index, shared }))
    }

    pub(crate) fn mocks(&self) -> &Mocks {
        &self.0
    }
}

impl Mocks {
    /// The endpoint that takes a method and path.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Arc<EndpointMock>> {
        self.index.find(path, |endpoint| endpoint.answers(method))
    }

    /// Whether any endpoint has this path, whatever its methods.
    pub(crate) fn is_declared(&self, path: &str) -> bool {
        self.index.find(path, |_| true).is_some()
    }

    /// The answer to OPTIONS where a path is declared without it.
    fn options(&self, path: &str) -> Option<Response<Body>> {
        let first = self.index.find(path, |_| true)?;
        let allowed = miss::allowed(self.endpoints.iter(), path);
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ALLOW, miss::allow_header(&allowed));
        for name in [SOURCE, ENDPOINT] {
            if let Some(value) = first.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        self.tag(&first.service).into_iter().for_each(|value| {
            headers.insert(SERVICE, value);
        });
        Some(response)
    }

    /// The service's name as a header, where the caller did not choose the service.
    fn tag(&self, service: &str) -> Option<HeaderValue> {
        if self.name.is_some() { None } else { HeaderValue::from_str(service).ok() }
    }
}

impl MockService for ServiceMock {
    fn whose(&self, method: &Method, path: &str) -> Option<&str> {
        self.0.find(method, path).map(|endpoint| &*endpoint.service)
    }

    fn offer(&self, request: &mut Request<Body>) -> Offered {
        let mocks = &self.0;
        let path = request.uri().path();
        if let Some(endpoint) = mocks.find(request.method(), path) {
            let tag = mocks.tag(&endpoint.service);
            let offered = respond(endpoint, &mocks.shared, request);
            return match tag {
                Some(value) => tagged(offered, SERVICE, value),
                None => offered,
            };
        }
        if *request.method() == Method::OPTIONS
            && let Some(response) = mocks.options(path)
        {
            return Offered::Now(response);
        }
        mocks.misses.fetch_add(1, Ordering::Relaxed);
        let mocks = mocks.clone();
        Offered::Miss(Box::new(move |request| {
            miss::explain(mocks.name.as_deref(), &mocks.endpoints, request)
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{api, ask, engine, follow, in_api, offer, post, request};
    use http::Method;
    use stitch_net::MockSet as _;

    #[tokio::test]
    async fn the_most_specific_path_and_the_first_of_its_methods_win() {
        let engine = api("- { path: /**, method: ANY, response: any }
- { path: '/users/{id}', response: one }
- { path: /users/me, response: me }
- { path: '/users/{id}', method: [PUT, PATCH], response: changed }
- { path: '~^/v[12]/x$', response: regex }");
        for (line, text) in [
            ("GET /users/me", "me"),
            ("GET /users/7", "one"),
            ("PATCH /users/7", "changed"),
            ("DELETE /users/7", "any"),
            ("OPTIONS /users/7", "any"),
            ("GET /v1/x", "any"),
        ] {
            assert_eq!(ask(&engine, request(line)).await.text, text, "{line}");
        }
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_which_are_right() {
        let engine = api("- { path: /a, response: x }
- { path: /a, method: [POST, PUT], response: x }");
        let seen = ask(&engine, request("DELETE /a")).await;
        assert_eq!(
            (seen.status.as_u16(), seen.header("allow")),
            (405, "GET, HEAD, POST, PUT, OPTIONS")
        );
        assert_eq!(seen.header("x-stitch-reason"), "method_not_allowed");
        assert_eq!(seen.header("x-stitch-source"), "");
        let seen = ask(&engine, request("OPTIONS /a")).await;
        assert_eq!(
            (seen.status.as_u16(), seen.header("allow")),
            (204, "GET, HEAD, POST, PUT, OPTIONS")
        );
        assert_eq!(seen.header("x-stitch-endpoint"), "api GET /a");
        assert_eq!(ask(&engine, request("OPTIONS /b")).await.status, 404);
    }

    #[tokio::test]
    async fn head_prefers_its_own_endpoint() {
        let engine = api("- { path: '/a/{x}', response: long text }
- { path: '/a/{y}', method: HEAD, response: { status: 202, body: x } }");
        let seen = ask(&engine, request("HEAD /a/1")).await;
        assert_eq!((seen.status.as_u16(), seen.header("content-length")), (202, "1"));
        assert_eq!(ask(&engine, request("GET /a/1")).await.text, "long text");
    }

    #[tokio::test]
    async fn a_miss_leaves_the_request_and_explains_on_demand() {
        let engine = api("- { path: /charge, method: POST, response: x }");
        let mock = engine.service("api").unwrap();
        let mut back = post("/nothing?a=1", "body");
        let super::Offered::Miss(explain) = mock.offer(&mut back) else { panic!("matched") };
        assert_eq!(
            (back.method(), back.uri().to_string().as_str()),
            (&Method::POST, "/nothing?a=1")
        );
        assert!(matches!(back.body(), super::Body::Full(bytes) if bytes == "body"));
        let seen = crate::testing::read(explain(&back)).await;
        assert_eq!((seen.status.as_u16(), seen.header("x-stitch-reason")), (404, "no_endpoint"));
        assert_eq!(engine.services()[0].misses, 1);
        assert_eq!(seen.json()["service"], "api");
        assert_eq!(seen.json()["nearest"][0]["endpoint"], "api POST /charge");
    }

    #[tokio::test]
    async fn all_mocks_together_keep_file_order_and_name_the_service() {
        let engine = engine(
            "services:
  first: { endpoints: [ { path: '/x/{a}', response: first }, { path: /delayed, delay: 1ms, response: late } ] }
  second: { endpoints: [ { path: '/x/{b}', response: second }, { path: /x/y, response: exact } ] }
  real: { url: 'http://localhost:1' }",
        );
        assert!(engine.service("real").is_none() && engine.service("none").is_none());
        let everything = engine.everything();
        for (line, text, service) in [
            ("GET /x/1", "first", "first"),
            ("GET /x/y", "exact", "second"),
            ("GET /delayed", "late", "first"),
            ("OPTIONS /x/y", "", "second"),
        ] {
            let seen = offer(&*everything, request(line)).await;
            assert_eq!(
                (seen.text.as_str(), seen.header("x-stitch-service")),
                (text, service),
                "{line}"
            );
        }
        let seen = offer(&*everything, request("GET /nowhere")).await;
        assert_eq!(seen.header("x-stitch-reason"), "no_service");
        let own = offer(&*engine.service("first").unwrap(), request("GET /x/1")).await;
        assert_eq!(own.header("x-stitch-service"), "");
    }

    #[tokio::test]
    async fn unchanged_endpoints_keep_their_counts_over_a_reload() {
        let text = in_api(
            "- { path: /same, failure_rate: 50%, response: a, headers: {} }
- { path: /other, response: a }",
        )
        .replace(", headers: {}", "");
        let first = engine(&text);
        for _ in 0..20 {
            ask(&first, request("GET /same")).await;
            ask(&first, request("GET /other")).await;
        }
        ask(&first, request("GET /none")).await;
        let moved = text
            .replace("vars:", "# moved down\n\nvars:")
            .replace("/other, response: a", "/other, response: b");
        let second = follow(&moved, Some(&first));
        let info = second.services();
        assert_eq!(
            (info[0].endpoints[0].hits, info[0].endpoints[1].hits, info[0].misses),
            (20, 0, 1)
        );
        assert_eq!(info[0].endpoints[0].failures, first.services()[0].endpoints[0].failures);
        assert_eq!(
            (info[0].endpoints[0].id.as_str(), info[0].endpoints[0].methods.as_str()),
            ("api GET /same", "GET")
        );
        // The sequence of chance goes on where it was.
        let whole = engine(&text);
        for _ in 0..20 {
            ask(&whole, request("GET /same")).await;
        }
        for _ in 0..20 {
            let goes_on = ask(&second, request("GET /same")).await.status;
            assert_eq!(goes_on, ask(&whole, request("GET /same")).await.status);
        }
    }

    #[test]
    fn explaining_counts_nothing() {
        let engine = engine(
            "services:
  a: { endpoints: [ { path: /x, method: POST, response: x } ] }
  b: { endpoints: [ { path: /y, response: x } ] }",
        );
        let found = engine.explain(None, &Method::GET, "/y");
        assert_eq!(
            (found.service.as_deref(), found.endpoint.as_deref()),
            (Some("b"), Some("b GET /y"))
        );
        let wrong = engine.explain(Some("a"), &Method::GET, "/x");
        assert_eq!(
            (wrong.endpoint, wrong.allow),
            (None, vec!["POST".to_owned(), "OPTIONS".to_owned()])
        );
        assert_eq!(wrong.nearest[0].differs, ["method: POST instead of GET"]);
        let none = engine.explain(Some("c"), &Method::GET, "/x");
        assert_eq!((none.endpoint, none.nearest), (None, Vec::new()));
        assert!(
            engine.services().iter().all(|info| info.misses == 0 && info.endpoints[0].hits == 0)
        );
        assert!(format!("{engine:?}").contains("services: 2"));
    }
}
