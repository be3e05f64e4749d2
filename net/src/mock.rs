//! The seam between the proxy and whatever stands behind it: mocks in this process, mocks behind
//! HTTP, and the way back from an event to the proxy.
//!
//! These are traits rather than `tower::Service`s for two reasons: a mock may decline, and then
//! the request must come back unspent; and a ready answer must not cost an allocation.

use crate::body::Body;
use futures_util::future::Either;
use http::{Method, Request, Response};
use std::future::{Future, ready};
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
    /// Offers a request. A mock that declines leaves it as it was; one that answers takes what it
    /// needs, and leaves method and target for the record. The body is read only when an endpoint
    /// matches and needs it.
    fn offer(&self, request: &mut Request<Body>) -> Offered;

    /// The service whose endpoint would answer, where several services' are looked through.
    fn whose(&self, _method: &Method, _path: &str) -> Option<&str> {
        None
    }
}

/// Builds the answer that explains a miss.
pub type Explain = Box<dyn FnOnce(&Request<Body>) -> Response<Body> + Send>;

/// What became of an offer. Answers have `x-stitch-source: mock` and `x-stitch-endpoint` set.
pub enum Offered {
    /// An endpoint matched; this is its answer.
    Now(Response<Body>),
    /// An endpoint matched, and its answer takes time: a delay, a body to read, a remote daemon.
    Later(BoxFuture<Response<Body>>),
    /// Nothing matched. This builds the answer (404 or 405, with what is near) for callers that
    /// have nowhere else to go.
    Miss(Explain),
}

impl Offered {
    /// The answer, be it that there is none.
    pub fn answer(
        self,
        request: &Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        match self {
            Self::Now(response) => Either::Left(ready(response)),
            Self::Later(later) => Either::Right(later),
            Self::Miss(explain) => Either::Left(ready(explain(request))),
        }
    }
}

/// Takes a request out of where it stands, leaving its method and target there.
pub fn take_request(request: &mut Request<Body>) -> Request<Body> {
    let mut left = Request::new(Body::Empty);
    *left.method_mut() = request.method().clone();
    *left.uri_mut() = request.uri().clone();
    std::mem::replace(request, left)
}

/// A way to call a declared service by name, through mode, policies and trace: the proxy's own flow
/// in `stitch up`, the mock engine itself in `stitch mockd`.
pub trait Flow: Send + Sync {
    /// Sends a request to a service and returns its answer; failures are answers too (502, 504).
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>>;
}
