//! The route table of a service: its own routes plus those that every service has.
//!
//! It wraps axum's router only to remember what was mounted, so that a test can hold the OpenAPI document
//! against it.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::{Method, header::CONTENT_TYPE},
    middleware,
    response::Html,
    routing::{MethodFilter, on},
};
use serde_json::{Value, json};

use crate::{docs, log::observe, metrics::Metrics, problem};

/// Far above the largest valid body, far below what could hurt.
const BODY_LIMIT: usize = 64 * 1024;

/// Routes being collected.
pub struct Routes<S> {
    router: Router<S>,
    table: Vec<(Method, &'static str)>,
    metrics: Arc<Metrics>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// The routes every service has, for a service called `name` with this OpenAPI document.
    ///
    /// `/health/ready` is left to the service, since only it knows what it needs.
    pub fn new(name: &'static str, openapi: &'static str) -> Self {
        let metrics = Metrics::new();
        let page = docs::page(&serde_json::from_str::<Value>(openapi).unwrap_or_default());
        let routes =
            Self { router: Router::new(), table: Vec::new(), metrics: Arc::clone(&metrics) };
        routes
            .get("/health", move || async move { Json(json!({"status": "ok", "service": name})) })
            .get("/health/live", alive)
            .get("/metrics", move || async move {
                ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
            })
            .get(
                "/openapi.json",
                move || async move { ([(CONTENT_TYPE, "application/json")], openapi) },
            )
            .get("/docs", move || async move { Html(page) })
    }

    /// Adds a route for GET.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.mount(Method::GET, MethodFilter::GET, path, handler)
    }

    /// Adds a route for POST.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.mount(Method::POST, MethodFilter::POST, path, handler)
    }

    /// Adds a route for PUT.
    #[must_use]
    pub fn put<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.mount(Method::PUT, MethodFilter::PUT, path, handler)
    }

    /// Adds a route for DELETE.
    #[must_use]
    pub fn delete<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.mount(Method::DELETE, MethodFilter::DELETE, path, handler)
    }

    fn mount<H: Handler<T, S>, T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        handler: H,
    ) -> Self {
        self.table.push((method, path));
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    /// What is mounted, for [`crate::drift`].
    pub fn table(&self) -> &[(Method, &'static str)] {
        &self.table
    }

    /// The finished router. The observer is outermost, so that refusals are counted and logged as well.
    pub fn finish(self, state: S) -> Router {
        self.router
            .fallback(problem::no_route)
            .method_not_allowed_fallback(problem::no_method)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn_with_state(self.metrics, observe))
            .with_state(state)
    }
}

/// The answer of a probe that found nothing amiss.
pub async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
