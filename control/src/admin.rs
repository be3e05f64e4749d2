//! The routes of the admin listener.

use crate::api::{Change, ChangeRefused, ServiceView, SetModeRefused};
use crate::breakers;
use crate::changes::{MAX_BODY, patch, set_mode, undo, undo_all};
use crate::guard::{self, Refusal};
use crate::health::Readiness;
use crate::prometheus::Metrics;
use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, put};
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use stitch_config::model::{Mode, Secret};
use stitch_net::mock::BoxFuture;
use stitch_net::{Body, Peer, Problem, Reason, Serve};
use stitch_proxy::Breakers;
use tower::ServiceExt;

/// What the admin API needs of the process; the binary composes it.
pub trait View: Send + Sync + 'static {
    /// The configuration in force, secrets masked.
    fn config(&self) -> Value;
    /// Every service.
    fn services(&self) -> Vec<ServiceView>;
    /// Changes a service at run time; done when the change is in force.
    fn change(&self, change: Change) -> BoxFuture<Result<(), ChangeRefused>>;
    /// Why a service cannot have this mode, if it cannot.
    fn refuses_mode(&self, service: &str, mode: Mode) -> Option<SetModeRefused>;
    /// Every breaker.
    fn breakers(&self) -> Arc<Breakers>;
    /// Hands counters to the metrics facade before they are rendered.
    fn publish_metrics(&self);
}

/// The admin API of one process.
#[derive(Clone)]
pub struct Admin {
    pub(crate) view: Arc<dyn View>,
    readiness: Arc<Readiness>,
    metrics: Metrics,
    token: Option<Secret>,
}

impl Admin {
    /// The API over a view of the process.
    pub fn new(
        view: Arc<dyn View>,
        readiness: Arc<Readiness>,
        metrics: Metrics,
        token: Option<Secret>,
    ) -> Self {
        Self { view, readiness, metrics, token }
    }

    /// Everything, for the admin listener.
    pub fn router(self) -> Router {
        let api = Router::new()
            .route("/config", get(config))
            .route("/services", get(services))
            .route("/services/{name}", get(service).patch(patch))
            .route("/services/{name}/mode", put(set_mode))
            .merge(breakers::routes())
            .route("/services/{name}/overrides", delete(undo_all))
            .route("/services/{name}/overrides/{key}", delete(undo))
            .method_not_allowed_fallback(wrong_method)
            .route_layer(middleware::from_fn_with_state(self.clone(), guarded))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone());
        self.public_router().nest("/api", api)
    }

    /// Health and metrics only: what a route may lead to (`to: stitch`).
    pub fn public_router(self) -> Router {
        Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .with_state(self)
    }
}

/// The admin API behind a listener.
#[derive(Debug)]
pub struct AdminGate(pub Router);

impl Serve for AdminGate {
    type Body = Body;

    fn serve(
        &self,
        request: http::Request<Body>,
        _peer: Arc<Peer>,
    ) -> impl Future<Output = http::Response<Body>> + Send + use<> {
        call(self.0.clone(), request)
    }
}

/// Calls a router with our own body type.
pub(crate) async fn call(router: Router, request: http::Request<Body>) -> http::Response<Body> {
    match router.oneshot(request.map(axum::body::Body::new)).await {
        Ok(response) => response.map(|body| match body.is_end_stream() {
            true => Body::Empty,
            false => Body::boxed(body),
        }),
        Err(never) => match never {},
    }
}

impl AdminGate {
    /// Answers one request, for routes that lead here.
    pub async fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        call(self.0.clone(), request).await
    }
}

async fn guarded(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    match guard::check(request.headers(), admin.token.as_ref()) {
        Ok(()) => next.run(request).await,
        Err(Refusal::Unauthenticated) => {
            let problem = Problem::new(Reason::Denied, "the admin API needs its token")
                .status(StatusCode::UNAUTHORIZED)
                .hint("send \"Authorization: Bearer …\" with the token of proxy.admin");
            let mut response = respond(&problem, request.headers());
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
        Err(Refusal::Foreign(why)) => {
            respond(&Problem::new(Reason::Denied, why), request.headers())
        }
    }
}

pub(crate) fn respond(problem: &Problem, request: &HeaderMap) -> Response {
    problem.respond(request).map(axum::body::Body::new)
}

fn json(status: StatusCode, value: &Value) -> Response {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    let mut response = Response::new(axum::body::Body::from(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

pub(crate) fn data(value: impl serde::Serialize) -> Response {
    json(StatusCode::OK, &json!({ "data": value }))
}

async fn live() -> Response {
    json(StatusCode::OK, &json!({ "status": "live" }))
}

async fn ready(State(admin): State<Admin>) -> Response {
    let missing = admin.readiness.missing();
    match missing.is_empty() {
        true => json(StatusCode::OK, &json!({ "status": "ready" })),
        false => {
            let waiting = json!({ "status": "waiting", "waiting_for": missing });
            json(StatusCode::SERVICE_UNAVAILABLE, &waiting)
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.view.publish_metrics();
    let mut response = Response::new(axum::body::Body::from(admin.metrics.render()));
    let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}

async fn config(State(admin): State<Admin>) -> Response {
    data(admin.view.config())
}

async fn services(State(admin): State<Admin>) -> Response {
    data(admin.view.services())
}

pub(crate) async fn service(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let services = admin.view.services();
    match services.iter().find(|service| service.name == name) {
        Some(service) => data(service),
        None => {
            let known: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
            respond(&no_such_service(&name, &known.join(", ")), &headers)
        }
    }
}

/// The same with the nearest name instead of all.
pub(crate) fn no_such_service_near(name: &str, near: Option<String>) -> Problem {
    let problem = Problem::new(Reason::NoService, format!("there is no service {name:?}"));
    match near {
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => problem,
    }
}

fn no_such_service(name: &str, known: &str) -> Problem {
    Problem::new(Reason::NoService, format!("there is no service {name:?}"))
        .hint(format!("declared services: {known}"))
}

async fn unknown(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let problem = Problem::new(Reason::NoEndpoint, format!("the admin API has no {path}")).hint(
        "it has /health/live, /health/ready, /metrics, /api/config, /api/services, /api/breakers",
    );
    respond(&problem, request.headers())
}

async fn wrong_method(request: Request) -> Response {
    let detail = format!("{} is not for {}", request.uri().path(), request.method());
    respond(&Problem::new(Reason::MethodNotAllowed, detail), request.headers())
}
