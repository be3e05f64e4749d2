//! How long an endpoint takes: a moving average that follows every peak at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an endpoint is taken for that has answered nothing yet.
const FIRST: Duration = Duration::from_millis(30);
/// After this without an observation 1/e of the estimate is left: who was slow is tried again.
const DECAY: Duration = Duration::from_secs(10);

/// Peak EWMA: a higher observation replaces the estimate, a lower one pulls it down over time.
/// The estimate (microseconds) and its time (milliseconds) share one word, so it has no lock.
#[derive(Debug)]
pub(super) struct PeakEwma(AtomicU64);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// Negative while it is a guess.
    micros: f32,
    /// Milliseconds since the endpoint was made; wraps after seven weeks, which costs a wrong decay.
    at: u32,
}

impl PeakEwma {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(Estimate { micros: -micros(FIRST), at: 0 }.pack()))
    }

    /// The estimate in microseconds, `at` (milliseconds) after the endpoint was made.
    pub(super) fn micros(&self, at: u64) -> f32 {
        let estimate = Estimate::unpack(self.0.load(Ordering::Relaxed));
        estimate.micros.abs() * estimate.left(at)
    }

    /// The estimate in microseconds when something was last observed.
    pub(super) fn last(&self) -> Option<f32> {
        let Estimate { micros, .. } = Estimate::unpack(self.0.load(Ordering::Relaxed));
        (micros >= 0.0).then_some(micros)
    }

    /// Takes an observation in. A failure may raise the estimate and never lowers it: refusing at
    /// once is not being fast.
    pub(super) fn observe(&self, took: Duration, failed: bool, at: u64) {
        let seen = micros(took);
        let next = |packed| {
            let estimate = Estimate::unpack(packed);
            let left = estimate.left(at);
            let before = estimate.micros.abs() * left;
            let micros = if seen > before {
                seen
            } else if failed {
                return None;
            } else {
                before + seen * (1.0 - left)
            };
            Some(Estimate { micros, at: at as u32 }.pack())
        };
        // Refused only for a failure that says nothing.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

impl Estimate {
    fn pack(self) -> u64 {
        u64::from(self.micros.to_bits()) << 32 | u64::from(self.at)
    }

    fn unpack(packed: u64) -> Self {
        Self { micros: f32::from_bits((packed >> 32) as u32), at: packed as u32 }
    }

    /// The share of the estimate that is left.
    fn left(self, at: u64) -> f32 {
        let elapsed = (at as u32).wrapping_sub(self.at);
        // Another worker may have observed something a moment later.
        if elapsed > u32::MAX / 2 {
            return 1.0;
        }
        (-(elapsed as f32) / DECAY.as_millis() as f32).exp()
    }
}

fn micros(time: Duration) -> f32 {
    time.as_secs_f32() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn close(one: f32, other: f32) -> bool {
        (one - other).abs() <= other * 0.001
    }

    #[test]
    fn nothing_seen_counts_as_thirty_milliseconds() {
        let ewma = PeakEwma::new();
        assert!(close(ewma.micros(0), 30_000.0));
        assert_eq!(ewma.last(), None);
        ewma.observe(ms(50), false, 0);
        assert_eq!(ewma.last(), Some(50_000.0));
    }

    #[test]
    fn a_peak_replaces_and_lower_ones_pull_down_slowly() {
        let ewma = PeakEwma::new();
        ewma.observe(ms(500), false, 1_000);
        assert!(close(ewma.micros(1_000), 500_000.0));
        ewma.observe(ms(100), false, 11_000);
        let expected =
            500_000.0 / std::f32::consts::E + 100_000.0 * (1.0 - 1.0 / std::f32::consts::E);
        assert!(close(ewma.micros(11_000), expected), "{}", ewma.micros(11_000));
        ewma.observe(ms(900), false, 11_000);
        assert!(close(ewma.micros(11_000), 900_000.0));
    }

    #[test]
    fn what_is_not_asked_for_long_looks_fast_again() {
        let ewma = PeakEwma::new();
        ewma.observe(ms(500), false, 0);
        assert!(close(ewma.micros(10_000), 500_000.0 / std::f32::consts::E));
        assert!(ewma.micros(100_000) < 50.0);
    }

    #[test]
    fn failing_fast_is_not_being_fast() {
        let ewma = PeakEwma::new();
        ewma.observe(ms(500), false, 0);
        ewma.observe(ms(1), true, 1);
        assert!(ewma.micros(1) > 490_000.0);
        ewma.observe(ms(800), true, 2);
        assert!(close(ewma.micros(2), 800_000.0));
    }
}
