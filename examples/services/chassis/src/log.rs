//! Logs: one JSON object per line on stdout, one line per request.
//!
//! Probes and scrapes log at debug level, since they come by the thousand and say nothing; server errors
//! log as warnings. `RUST_LOG` chooses the level.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use tracing_subscriber::EnvFilter;

use crate::{metrics::Metrics, trace::trace_id};

/// Starts logging. A second call changes nothing.
pub(crate) fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // It fails only when a subscriber is set already, which then stays.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_env_filter(filter)
        .try_init();
}

/// Middleware: counts and logs every request once its response head is known.
pub(crate) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let trace = trace_id(request.headers()).map(str::to_owned);
    let request_id =
        request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);

    let response = next.run(request).await;

    let took = started.elapsed();
    let status = response.status().as_u16();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics.record(&method, route, status, took);

    // Whole microseconds, as more digits would only be noise.
    let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
    let (trace_id, request_id) = (trace.as_deref(), request_id.as_deref());
    let method = method.as_str();
    if status >= 500 {
        tracing::warn!(method, path, status, ms, trace_id, request_id, "Request failed");
    } else if is_probe(route) {
        tracing::debug!(method, path, status, ms, trace_id, request_id, "Request answered");
    } else {
        tracing::info!(method, path, status, ms, trace_id, request_id, "Request answered");
    }
    response
}

fn is_probe(route: &str) -> bool {
    route == "/metrics" || route.starts_with("/health")
}
