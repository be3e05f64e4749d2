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
    /// Ask the service, real or mock, as its policies have it, or those of the route to it.
    Governed(Arc<Service>, Arc<Plan>, Option<Arc<Routed<RouteTarget>>>),
    /// Ask the real service, once.
    Real(Arc<Service>, Timeouts),
    /// Wait for somebody else, without policies.
    Wait(Wait),
}

/// Who is waited for.
pub(crate) enum Wait {
    /// A mock.
    Mock(BoxFuture<Response<Body>>),
    /// A target that nobody declared.
    Forward,
    /// The other end of a tunnel.
    Connect(Target),
    /// What is built in.
    Builtin,
}
