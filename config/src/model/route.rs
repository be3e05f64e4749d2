//! `routes:` — the gateway table on `listen`.

use super::{HostPattern, Policies, Respond, TimeoutOverrides};
use crate::pattern::{PathPattern, PathTemplate};
use crate::place::Place;
use http::{HeaderName, Method};
use std::sync::Arc;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// `route 3 /api/users/**`: its number from 1 and its path, for explain and logs.
    pub id: Arc<str>,
    /// Where it is declared.
    pub place: Place,
    /// What it claims.
    pub matches: RouteMatch,
    /// `priority`: higher wins over any specificity; absent counts as 0.
    pub priority: i32,
    /// What happens.
    pub action: RouteAction,
    /// `timeout` of this route; absent fields come from the service.
    pub timeout: TimeoutOverrides,
    /// Every other policy as this route writes it; the rest comes from the service.
    pub policies: Policies,
}

/// The conditions of a route; all must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteMatch {
    /// `path`. Default `/**`.
    pub path: PathPattern,
    /// `host`: any of these; empty matches every host.
    pub hosts: Vec<HostPattern>,
    /// `method`: any of these; empty matches every method.
    pub methods: Vec<Method>,
    /// `headers`: each must be present with exactly this value.
    pub headers: Vec<(HeaderName, String)>,
    /// `query`: each parameter must be present with exactly this (decoded) value.
    pub query: Vec<(String, String)>,
    /// `cookies`: each must be present with exactly this value.
    pub cookies: Vec<(String, String)>,
}

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteAction {
    /// To one of several services, by weight.
    Services {
        /// Never empty; weights sum to at least 1.
        targets: Vec<Target>,
        /// `rewrite`: the path that the service sees.
        rewrite: Option<PathTemplate>,
        /// `sticky`: the cookie by which a client stays with the service that it got first.
        sticky: Option<String>,
    },
    /// `redirect`.
    Redirect {
        /// Path or absolute URL with `{name}` and `**` filled in.
        to: PathTemplate,
        /// 301, 302, 303, 307 or 308. Default 307.
        status: u16,
    },
    /// `respond`: an answer of the proxy's own.
    Respond(Respond),
    /// `to: stitch`: health and metrics of the proxy itself.
    Stitch,
}

/// One service of a weighted route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A declared service.
    pub service: Arc<str>,
    /// Its share relative to its siblings.
    pub weight: u32,
}
