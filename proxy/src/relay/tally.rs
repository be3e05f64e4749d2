//! Bytes that were relayed: of one connection, and of all that are counted together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of many connections.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Totals {
    /// What clients sent and services took.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// What services sent and clients took.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }
}

/// Bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What the client sent and the service took.
    pub(crate) bytes_in: u64,
    /// What the service sent and the client took.
    pub(crate) bytes_out: u64,
    totals: Option<Arc<Totals>>,
}

impl Tally {
    /// Nothing yet; what comes is counted in `totals` too, while it comes.
    pub(crate) fn new(totals: Arc<Totals>) -> Self {
        Self { totals: Some(totals), ..Self::default() }
    }

    pub(super) fn count_in(&mut self, bytes: u64) {
        self.bytes_in += bytes;
        if let Some(totals) = &self.totals {
            totals.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn count_out(&mut self, bytes: u64) {
        self.bytes_out += bytes;
        if let Some(totals) = &self.totals {
            totals.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}
