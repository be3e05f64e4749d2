//! A request that is counted on its endpoint while it lasts.

use crate::upstream::Endpoint;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A request counted on its endpoint until this is dropped. Keep it until the answer has ended.
#[derive(Debug, Default)]
pub struct InFlight {
    endpoint: Option<Arc<Endpoint>>,
    /// All requests of the set, where somebody asks for them.
    total: Option<Arc<AtomicUsize>>,
    /// The turn of trying an ejected endpoint; 0: it is an ordinary request.
    probe: u64,
}

impl InFlight {
    pub(super) fn on(endpoint: Arc<Endpoint>, total: Option<Arc<AtomicUsize>>, probe: u64) -> Self {
        endpoint.condition.in_flight.fetch_add(1, Ordering::Relaxed);
        if let Some(total) = &total {
            total.fetch_add(1, Ordering::Relaxed);
        }
        Self { endpoint: Some(endpoint), total, probe }
    }

    /// Whether this request tries an endpoint that was ejected.
    pub fn is_probe(&self) -> bool {
        self.probe != 0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.condition.in_flight.fetch_sub(1, Ordering::Relaxed);
            if self.probe != 0 {
                // A verdict has returned it already; a client that went away has not.
                endpoint.condition.return_probe(self.probe);
            }
        }
        if let Some(total) = &self.total {
            total.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
