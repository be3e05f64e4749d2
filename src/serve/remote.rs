//! Mocks in another process: `stitch proxy --mockd URL`.
//!
//! Which requests have a declared endpoint is decided here, by the same compiled engine that the
//! daemon has: a miss then costs no round trip and the request comes back unspent. The answer itself
//! comes from the daemon. The service travels in `x-stitch-service`; Host stays as it was.

use crate::cli::Endpoint;
use http::{HeaderValue, Method, Request};
use std::sync::Arc;
use stitch_mockd::Engine;
use stitch_net::mock::take_request;
use stitch_net::reason::SERVICE;
use stitch_net::{Body, MockService, MockSet, Offered};
use stitch_proxy::MockdClient;

/// The way to a mock daemon.
#[derive(Clone)]
pub(super) struct RemoteMocks {
    client: Arc<MockdClient>,
    url: String,
}

impl RemoteMocks {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let client = MockdClient::new(endpoint.authority());
        Self { client: Arc::new(client), url: endpoint.to_string() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The mocks of one configuration.
    pub(super) fn over(&self, engine: Arc<Engine>) -> RemoteSet {
        RemoteSet { client: self.client.clone(), engine }
    }
}

/// The mocks of one configuration, answered elsewhere.
pub(super) struct RemoteSet {
    client: Arc<MockdClient>,
    engine: Arc<Engine>,
}

impl MockSet for RemoteSet {
    fn service(&self, name: &str) -> Option<Arc<dyn MockService>> {
        self.engine.service(name)?;
        let header = HeaderValue::try_from(name).ok()?;
        Some(Arc::new(RemoteService {
            client: self.client.clone(),
            engine: self.engine.clone(),
            service: Some((name.to_owned(), header)),
        }))
    }

    fn everything(&self) -> Arc<dyn MockService> {
        Arc::new(RemoteService {
            client: self.client.clone(),
            engine: self.engine.clone(),
            service: None,
        })
    }
}

struct RemoteService {
    client: Arc<MockdClient>,
    engine: Arc<Engine>,
    service: Option<(String, HeaderValue)>,
}

impl MockService for RemoteService {
    fn whose(&self, method: &Method, path: &str) -> Option<&str> {
        self.engine.whose(method, path)
    }

    fn offer(&self, request: &mut Request<Body>) -> Offered {
        let name = self.service.as_ref().map(|(name, _)| name.as_str());
        if !self.engine.would_answer(name, request.method(), request.uri().path()) {
            return Offered::Miss(self.engine.miss(name));
        }
        let mut request = take_request(request);
        if let Some((_, header)) = &self.service {
            request.headers_mut().insert(SERVICE, header.clone());
        }
        let client = self.client.clone();
        Offered::Later(Box::pin(async move { client.call(request).await }))
    }
}
