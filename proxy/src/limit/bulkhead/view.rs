//! What a bulkhead says of itself, to people and to the metrics.

use super::Bulkhead;
use serde::Serialize;

/// A bulkhead now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BulkheadView {
    /// Requests that may be in flight.
    pub limit: u32,
    /// Requests in flight. More than the limit, for a while, after the limit fell.
    pub in_flight: u32,
    /// Requests that may wait.
    pub queue: u32,
    /// Requests that wait.
    pub queued: usize,
    /// How long they wait at most, in seconds.
    pub wait: f64,
    /// Requests that got no place.
    pub rejected: u64,
    /// For an adaptive limit: what it is found from.
    pub adaptive: Option<AdaptiveView>,
}

/// An adaptive limit now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdaptiveView {
    /// Least limit.
    pub min: u32,
    /// Largest limit.
    pub max: u32,
    /// How far latency may rise, as a factor.
    pub tolerance: f64,
    /// Latency without load in seconds, once it is known.
    pub baseline: Option<f64>,
}

impl Bulkhead {
    /// How it is now.
    pub fn view(&self) -> BulkheadView {
        let adaptive = self.gradient().as_ref().map(|gradient| {
            let bounds = gradient.bounds();
            AdaptiveView {
                min: bounds.min,
                max: bounds.max,
                tolerance: bounds.tolerance,
                baseline: gradient.baseline().map(|baseline| baseline.as_secs_f64()),
            }
        });
        let state = self.state();
        BulkheadView {
            limit: state.bounds.limit,
            in_flight: state.in_flight,
            queue: state.bounds.queue,
            queued: state.queued(),
            wait: state.bounds.wait.as_secs_f64(),
            rejected: self.rejected.get(),
            adaptive,
        }
    }

    /// Hands the numbers to the metrics facade under this service, and the plan that it is part of;
    /// called before they are scraped.
    pub fn publish(&self, service: &str, policy: &str) {
        let view = self.view();
        #[expect(clippy::cast_precision_loss, reason = "a queue is short")]
        let queued = view.queued as f64;
        set_gauges(service, policy, [view.in_flight.into(), view.limit.into(), queued]);
        metrics::counter!("stitch_concurrency_rejected_total",
            "service" => service.to_owned(), "policy" => policy.to_owned())
        .increment(self.rejected.news());
    }

    /// The last that the metrics hear of a bulkhead that a reload took away; they would show what it
    /// told for ever.
    pub fn retire(service: &str, policy: &str) {
        set_gauges(service, policy, [0.0; 3]);
    }
}

/// How many are in flight, may be, and wait.
fn set_gauges(service: &str, policy: &str, [in_flight, limit, queued]: [f64; 3]) {
    for (name, value) in [
        ("stitch_concurrency_in_flight", in_flight),
        ("stitch_concurrency_limit", limit),
        ("stitch_concurrency_queued", queued),
    ] {
        metrics::gauge!(name, "service" => service.to_owned(), "policy" => policy.to_owned())
            .set(value);
    }
}
