//! What endpoints count. The counts of an unchanged endpoint outlive a reload.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    /// Counts a match and returns its number, from 0. Every draw of the match is keyed by it.
    pub(crate) fn hit(&self) -> u64 {
        self.hits.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a declared failure.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
