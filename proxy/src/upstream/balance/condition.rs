//! How one endpoint is doing. It lasts as long as the endpoint, over reloads too.

use super::latency::PeakEwma;
use crate::shown::Deadline;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What is known of an endpoint. Reading takes no lock; what decides whether it is fit is written by
/// its set alone, one change at a time.
#[derive(Debug)]
pub struct Condition {
    born: Instant,
    /// Requests being answered by it; only kept when it has siblings.
    pub(super) in_flight: AtomicUsize,
    pub(super) latency: PeakEwma,
    /// Failures in a row.
    pub(super) failures: AtomicU32,
    /// Whether health checks say that it is down.
    pub(super) unwell: AtomicBool,
    /// When it is to be tried again after it was ejected; 0: it is not ejected.
    pub(super) ejected_until: AtomicU64,
    /// The same as people are shown it.
    pub(super) shown_until: Mutex<Deadline>,
    /// When it was last ejected. Calls that began before say nothing about it now.
    pub(super) ejected_at: AtomicU64,
    /// The one request that tries an ejected endpoint, by the time it began; 0: there is none.
    pub(super) probe: AtomicU64,
    /// Since when it has been fit; 0: it need not warm up.
    pub(super) fit_since: AtomicU64,
}

/// Whether an endpoint may get requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Fit,
    Unwell,
    Ejected,
    /// It has been out for long enough: one request at a time tells.
    Probing,
}

impl Condition {
    pub(in crate::upstream) fn new(born: Instant) -> Self {
        Self {
            born,
            in_flight: AtomicUsize::new(0),
            latency: PeakEwma::new(),
            failures: AtomicU32::new(0),
            unwell: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
            shown_until: Mutex::default(),
            ejected_at: AtomicU64::new(0),
            probe: AtomicU64::new(0),
            fit_since: AtomicU64::new(0),
        }
    }

    /// A time as it is kept here: nanoseconds since the endpoint was made, and never 0.
    pub(super) fn stamp(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.born);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The time of a stamp.
    pub(super) fn time(&self, stamp: u64) -> Instant {
        self.born + Duration::from_nanos(stamp.saturating_sub(1))
    }

    pub(super) fn fitness(&self, now: Instant) -> Fitness {
        let until = self.ejected_until.load(Ordering::Acquire);
        if self.unwell.load(Ordering::Acquire) {
            Fitness::Unwell
        } else if until == 0 {
            Fitness::Fit
        } else if self.stamp(now) < until {
            Fitness::Ejected
        } else {
            Fitness::Probing
        }
    }

    /// Peak EWMA of what it takes, in microseconds.
    pub(super) fn latency(&self, now: Instant) -> f32 {
        self.latency.micros(self.millis(now))
    }

    pub(super) fn observe_latency(&self, took: Duration, failed: bool, now: Instant) {
        self.latency.observe(took, failed, self.millis(now));
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    /// When it will be tried again, if it is ejected.
    pub(super) fn ejected_until(&self) -> Option<Instant> {
        let until = self.ejected_until.load(Ordering::Acquire);
        (until != 0).then(|| self.time(until))
    }

    /// Forgets every failure, and that it was ejected for them.
    pub(super) fn forgive(&self) {
        self.ejected_until.store(0, Ordering::Release);
        self.probe.store(0, Ordering::Release);
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Begins to warm up.
    pub(super) fn warm_up(&self, now: Instant) {
        self.fit_since.store(self.stamp(now), Ordering::Release);
    }

    /// Since when it has been warming up.
    pub(super) fn warming_since(&self) -> Option<Instant> {
        let since = self.fit_since.load(Ordering::Acquire);
        (since != 0).then(|| self.time(since))
    }

    /// Asks to be the one request that tries it. Who gets no verdict for `patience` has lost their
    /// turn.
    pub(super) fn try_probe(&self, now: Instant, patience: Duration) -> Option<u64> {
        let ticket = self.stamp(now);
        let held = self.probe.load(Ordering::Acquire);
        let lapsed = |held| now.saturating_duration_since(self.time(held)) >= patience;
        if held != 0 && !lapsed(held) {
            return None;
        }
        let taken = self.probe.compare_exchange(held, ticket, Ordering::AcqRel, Ordering::Relaxed);
        taken.is_ok().then_some(ticket)
    }

    /// Gives the turn back, if it still is this ticket's.
    pub(super) fn return_probe(&self, ticket: u64) {
        let _ = self.probe.compare_exchange(ticket, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}
