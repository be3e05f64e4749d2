//! What happened to events, for the admin API and for metrics.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventStats {
    /// The bus: `in-process` or a server's address.
    pub bus: String,
    /// Messages handed to the bus.
    pub published: u64,
    /// Messages that reached a subscription.
    pub delivered: u64,
    /// Messages lost to full queues or cut off as loops.
    pub dropped: u64,
    /// Actions and replies that failed.
    pub failed: u64,
    /// The subscriptions that are held.
    pub subscriptions: Vec<SubscriptionStats>,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SubscriptionStats {
    /// The service that subscribes.
    pub service: String,
    /// The subject, perhaps with wildcards.
    pub subject: String,
    /// Messages it has had.
    pub delivered: u64,
    /// Those whose action or reply failed.
    pub failed: u64,
}

/// The totals of one process.
#[derive(Debug, Default)]
pub(super) struct Totals {
    published: AtomicU64,
    dropped: AtomicU64,
}

impl Totals {
    pub(super) fn published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("stitch_events_published_total").increment(1);
    }

    /// Counts a message that never reached the bus.
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        dropped(1);
    }

    /// Published and dropped so far.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.published.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

/// What one subscription has had. Outlives reloads.
#[derive(Debug, Default)]
pub(super) struct Received {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Received {
    /// Counts a message and returns its number, from 1.
    pub(super) fn delivered(&self) -> u64 {
        metrics::counter!("stitch_events_delivered_total").increment(1);
        self.delivered.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn failed(&self) {
        metrics::counter!("stitch_events_failed_total").increment(1);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Delivered and failed so far.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// Adds lost messages to the metric; whoever lost them keeps the count for the API.
pub(super) fn dropped(messages: u64) {
    metrics::counter!("stitch_events_dropped_total").increment(messages);
}
