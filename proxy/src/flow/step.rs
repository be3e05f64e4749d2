//! What comes next for a request, decided without waiting.

use super::Answer;
use super::connect::Target;
use crate::plan::Plan;
use crate::route::Routed;
use crate::service::Service;
use crate::snapshot::RouteTarget;
use http::Response;
use std::sync::Arc;
use stitch_config::model::Timeouts;
use stitch_net::Body;
use stitch_net::mock::BoxFuture;

/// The next step.
pub(crate) enum Step {
    /// Nothing: it is answered.
    Done(Answer),
    /// Wait for a mock.
    Mock(BoxFuture<Response<Body>>),
    /// Ask the real service, once.
    Real(Arc<Service>, Timeouts),
    /// Ask the service, real or mock, as its policies have it, or those of the route to it.
    Governed(Arc<Service>, Arc<Plan>, Option<Arc<Routed<RouteTarget>>>),
    /// Ask a target that nobody declared.
    Forward,
    /// Open a tunnel.
    Connect(Target),
    /// Ask what is built in.
    Builtin,
}
