//! Recent calls in ten buckets of time; the oldest is emptied as time goes on.

use std::time::Duration;
use tokio::time::Instant;

const BUCKETS: usize = 10;

/// Calls and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls with a verdict.
    pub calls: u32,
    /// Of those, failures.
    pub failures: u32,
    /// Of those, slow ones, failed or not.
    pub slow: u32,
}

impl Counts {
    /// Share of failures; 0 without calls.
    pub fn failure_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// Share of slow calls; 0 without calls.
    pub fn slow_rate(&self) -> f64 {
        share(self.slow, self.calls)
    }

    fn add(&mut self, failed: bool, slow: bool) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failed));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    fn take_off(&mut self, gone: Self) {
        self.calls = self.calls.saturating_sub(gone.calls);
        self.failures = self.failures.saturating_sub(gone.failures);
        self.slow = self.slow.saturating_sub(gone.slow);
    }
}

/// One correctly rounded division, so that 3 of 30 is exactly the 0.1 that a file says.
fn share(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}

/// The calls of the last window of time.
#[derive(Clone, Debug)]
pub(super) struct Window {
    buckets: [Counts; BUCKETS],
    sum: Counts,
    /// The bucket that is being filled.
    head: usize,
    /// When it began.
    begun: Instant,
    width: Duration,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        Self {
            buckets: [Counts::default(); BUCKETS],
            sum: Counts::default(),
            head: 0,
            begun: now,
            width: (length / 10).max(Duration::from_nanos(1)),
        }
    }

    /// The calls that are still in the window.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        let age = now.saturating_duration_since(self.begun);
        if age >= self.width {
            self.roll(age, now);
        }
        self.sum
    }

    /// Counts one call; gives what is in the window now.
    pub(super) fn add(&mut self, failed: bool, slow: bool, now: Instant) -> Counts {
        self.counts(now);
        self.buckets[self.head].add(failed, slow);
        self.sum.add(failed, slow);
        self.sum
    }

    /// Begins as many buckets as have become due.
    fn roll(&mut self, age: Duration, now: Instant) {
        let (age, width) = (age.as_nanos(), self.width.as_nanos());
        let steps = usize::try_from(age / width).unwrap_or(BUCKETS).min(BUCKETS);
        for _ in 0..steps {
            self.head = (self.head + 1) % BUCKETS;
            self.sum.take_off(std::mem::take(&mut self.buckets[self.head]));
        }
        let into = u64::try_from(age % width).unwrap_or_default();
        self.begun = now.checked_sub(Duration::from_nanos(into)).unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn calls_leave_with_their_bucket() {
        let start = testing::start();
        let at = |millis| start + Duration::from_millis(millis);
        let mut window = Window::new(Duration::from_secs(10), start);
        window.add(true, false, at(0));
        window.add(false, true, at(1500));
        let both = Counts { calls: 2, failures: 1, slow: 1 };
        assert_eq!(window.counts(at(9999)), both);
        assert_eq!(window.counts(at(10_000)), Counts { calls: 1, failures: 0, slow: 1 });
        assert_eq!(window.counts(at(10_999)).calls, 1);
        assert_eq!(window.counts(at(11_000)), Counts::default());
    }

    #[test]
    fn a_long_pause_empties_it_and_keeps_the_buckets_where_they_were() {
        let start = testing::start();
        let mut window = Window::new(Duration::from_secs(10), start);
        window.add(true, true, start);
        let late = start + Duration::from_millis(3_600_000 + 700);
        assert_eq!(window.add(false, false, late).calls, 1);
        let edge = start + Duration::from_secs(3600 + 10);
        assert_eq!(window.counts(edge - Duration::from_millis(1)).calls, 1);
        assert_eq!(window.counts(edge).calls, 0);
    }

    #[test]
    fn time_that_another_thread_read_earlier_counts_as_now() {
        let start = testing::start() + Duration::from_secs(1);
        let mut window = Window::new(Duration::from_secs(10), start);
        assert_eq!(window.add(true, false, start - Duration::from_secs(1)).calls, 1);
    }

    #[test]
    fn the_shortest_window_is_one_all_the_same() {
        let start = testing::start();
        let mut window = Window::new(Duration::from_nanos(1), start);
        assert_eq!(window.add(true, false, start).calls, 1);
        assert_eq!(window.counts(start + Duration::from_nanos(10)).calls, 0);
    }

    #[test]
    fn rates_are_exact_where_decimals_are() {
        let of = |failures, calls| Counts { calls, failures, slow: failures };
        for (part, whole, rate) in [(3, 30, 0.1), (1, 3, 1.0 / 3.0), (7, 100, 0.07), (0, 0, 0.0)] {
            let counts = of(part, whole);
            let rates = [counts.failure_rate(), counts.slow_rate()];
            assert!(rates.iter().all(|got| got.to_bits() == f64::to_bits(rate)), "{counts:?}");
        }
    }
}
