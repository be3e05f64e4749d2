//! How many were let in, and why others were not.

use super::admit::{Cause, Method};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one service's checks.
pub(crate) struct AuthStats {
    service: String,
    counts: [[AtomicU64; Cause::ALL.len()]; Method::ALL.len()],
}

impl AuthStats {
    /// Counters under this `service` label.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), counts: Default::default() }
    }

    pub(super) fn count(&self, method: Method, cause: Cause) {
        self.counts[method as usize][cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn read(&self, method: Method, cause: Cause) -> u64 {
        self.counts[method as usize][cause as usize].load(Ordering::Relaxed)
    }

    /// Hands the numbers to the metrics facade; called before they are scraped.
    pub fn publish(&self) {
        for (row, method) in self.counts.iter().zip(Method::ALL) {
            for (count, cause) in row.iter().zip(Cause::ALL) {
                let count = count.load(Ordering::Relaxed);
                // A series exists once it has counted something.
                if count > 0 {
                    metrics::counter!("stitch_auth_total", "service" => self.service.clone(),
                        "method" => method.as_str(), "outcome" => cause.as_str())
                    .absolute(count);
                }
            }
        }
    }
}

impl std::fmt::Debug for AuthStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthStats({})", self.service)
    }
}
