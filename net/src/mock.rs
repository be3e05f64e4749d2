//! The seam between the proxy and whatever stands behind it: mocks in this process, mocks behind
//! HTTP, and the way back from an event to the proxy.
//!
//! These are traits rather than `tower::Service`s for two reasons: a mock may decline, and then
//! the request must come back unspent; and a ready answer must not cost an allocation.

use crate::body::Body;
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future in a box, for seams.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The mocks of one configuration.
pub trait MockSet: Send + Sync {
    /// The mock of a service; `None` when it declares no endpoints.
    fn service(&self, name: &str) -> Option<Arc<dyn MockService>>;

    /// Every mock by path, in file order: for requests that nothing claims.
    fn everything(&self) -> Arc<dyn MockService>;
}

/// The mock of one service.
pub trait MockService: Send + Sync {
    /// Offers a request. The body is read only when an endpoint matches and needs it.
    fn offer(&self, request: Request<Body>) -> Offered;
}

/// Builds the answer that explains a miss.
pub type Explain = Box<dyn FnOnce(&Request<Body>) -> Response<Body> + Send>;

/// What became of an offer.
pub enum Offered {
    /// Decided at once.
    Now(Outcome),
    /// Decided later: a delay, a body to read, a remote daemon.
    Later(BoxFuture<Outcome>),
}

/// How a mock took a request.
pub enum Outcome {
    /// An endpoint matched; this is its answer, with `x-stitch-source: mock` and
    /// `x-stitch-endpoint` set.
    Answer(Response<Body>),
    /// Nothing matched. The request comes back as it was, and `explain` builds the answer (404 or
    /// 405, with what is near) for callers that have nowhere else to go.
    Miss {
        /// The request, unspent. Boxed to keep the common variant small.
        request: Box<Request<Body>>,
        /// Builds the explaining answer; only called when it is needed.
        explain: Explain,
    },
}

impl Offered {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Outcome {
        match self {
            Self::Now(outcome) => outcome,
            Self::Later(later) => later.await,
        }
    }
}

/// A way to call a declared service by name, through mode, policies and trace: the proxy's own flow
/// in `stitch up`, the mock engine itself in `stitch mockd`.
pub trait Flow: Send + Sync {
    /// Sends a request to a service and returns its answer; failures are answers too (502, 504).
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>>;
}
