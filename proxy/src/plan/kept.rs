//! What policies keep over reloads, whatever the plans become.

use super::Gauges;
use crate::breakers::Breakers;
use crate::limit::rate::RateLimiters;
use crate::proxy::{EventFlow, Proxy};
use http::{Request, Response, StatusCode};
use std::sync::{Arc, OnceLock, Weak};
use stitch_net::mock::BoxFuture;
use stitch_net::{Body, Flow};
use tokio::time::Instant;

/// Registries that one snapshot hands on to the next.
pub(crate) struct Kept {
    pub breakers: Arc<Breakers>,
    pub limiters: RateLimiters,
    pub gauges: Gauges,
    /// The way of checkers and mirrors through the proxy itself.
    pub flow: Arc<LateFlow>,
}

impl Default for Kept {
    fn default() -> Self {
        let limiters = RateLimiters::new(Instant::now());
        let (breakers, flow) = (Arc::default(), Arc::default());
        Self { breakers, limiters, gauges: Gauges::default(), flow }
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({:?})", self.breakers)
    }
}

/// The proxy's own flow, for policies that are compiled before the proxy is there.
#[derive(Default)]
pub(crate) struct LateFlow(OnceLock<Weak<Proxy>>);

impl LateFlow {
    /// Leads to this proxy from now on.
    pub fn connect(&self, proxy: &Arc<Proxy>) {
        // Connected once.
        let _ = self.0.set(Arc::downgrade(proxy));
    }
}

impl Flow for LateFlow {
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>> {
        match self.0.get().and_then(Weak::upgrade) {
            Some(proxy) => EventFlow(proxy).call(service, request),
            // Nothing is accepted before there is a proxy.
            None => Box::pin(async {
                let mut response = Response::new(Body::Empty);
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
            }),
        }
    }
}
