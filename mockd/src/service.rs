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
use stitch_net::{Body, MockService, Offered, Outcome};

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
    fn offer(&self, request: Request<Body>) -> Offered {
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
            return Offered::Now(Outcome::Answer(response));
        }
        mocks.misses.fetch_add(1, Ordering::Relaxed);
        let mocks = mocks.clone();
        Offered::Now(Outcome::Miss {
            request: Box::new(request),
            explain: Box::new(move |request| {
                miss::explain(mocks.name.as_deref(), &mocks.endpoints, request)
            }),
        })
    }
}
