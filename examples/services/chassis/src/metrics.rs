//! Request counts and times in the Prometheus format.
//!
//! The recorder belongs to one router, not to the process, so that two services in one process keep apart.
//! Label values come from closed sets (known methods, route patterns, status codes): the series are bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::Method;
use metrics::{counter, describe_counter, describe_histogram, histogram, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

const REQUESTS: &str = "http_requests_total";
const SECONDS: &str = "http_request_duration_seconds";

/// Upper bounds in seconds: a local service answers in the first few, an ill-treated one in the last.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// A histogram keeps raw samples until it is drained, so an unscraped service drains them itself.
const DRAIN_EVERY: u64 = 4096;

/// The numbers of one router.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    recorded: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .expect("the list of buckets is not empty")
            .build_recorder();
        with_local_recorder(&recorder, || {
            describe_counter!(REQUESTS, "Requests answered, by method, route and status.");
            describe_histogram!(SECONDS, "Time to the response head, by method and route.");
        });
        Arc::new(Self { recorder, recorded: AtomicU64::new(0) })
    }

    /// Counts one answered request. `route` is a pattern, never a path.
    pub(crate) fn record(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let method = label(method);
        let route = route.to_owned();
        with_local_recorder(&self.recorder, || {
            histogram!(SECONDS, "method" => method, "route" => route.clone()).record(took);
            counter!(REQUESTS, "method" => method, "route" => route, "status" => status.to_string()).increment(1);
        });
        if self.recorded.fetch_add(1, Ordering::Relaxed) % DRAIN_EVERY == DRAIN_EVERY - 1 {
            self.recorder.handle().run_upkeep();
        }
    }

    /// The text that `/metrics` answers.
    pub(crate) fn render(&self) -> String {
        self.recorder.handle().render()
    }
}

/// A method is any token a caller invents; only the usual ones become label values.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_route_and_status() {
        let metrics = Metrics::new();
        for _ in 0..DRAIN_EVERY {
            metrics.record(&Method::GET, "/things/{id}", 200, Duration::from_millis(2));
        }
        metrics.record(&Method::from_bytes(b"BREW").unwrap(), "none", 405, Duration::ZERO);
        let text = metrics.render();
        for line in [
            r#"http_requests_total{method="GET",route="/things/{id}",status="200"} 4096"#,
            r#"http_requests_total{method="other",route="none",status="405"} 1"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/things/{id}",le="0.001"} 0"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/things/{id}",le="0.0025"} 4096"#,
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
