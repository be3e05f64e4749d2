//! How long answers took lately, for hedges: `p95` of the service's answers.
//!
//! Buckets grow by an eighth of a power of two, so a percentile is exact to 12 %. Counts are halved
//! as they fill up, so that what was long ago fades.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Sub-buckets per power of two.
const FINE: u32 = 8;
/// Powers of two of microseconds: up to more than an hour.
const POWERS: u32 = 32;
/// Samples below which nothing is said.
const FEW: u32 = 20;
/// Samples above which all counts are halved.
const MANY: u32 = 4096;

/// Latencies of recent answers.
pub(crate) struct Latencies {
    counts: [AtomicU32; (FINE * POWERS) as usize],
    total: AtomicU32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU32::new(0)), total: AtomicU32::new(0) }
    }
}

impl Latencies {
    /// An answer took this long.
    pub fn record(&self, took: Duration) {
        self.counts[bucket(took)].fetch_add(1, Ordering::Relaxed);
        // Whoever reaches the bound halves; counts that race with it are off by one at most.
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 == MANY {
            let mut total = 0;
            for count in &self.counts {
                let half = count.load(Ordering::Relaxed) / 2;
                count.store(half, Ordering::Relaxed);
                total += half;
            }
            self.total.store(total, Ordering::Relaxed);
        }
    }

    /// What this share of the answers (0 to 1) did not exceed; `None` while there are too few.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let total: u32 = counts.iter().sum();
        if total < FEW {
            return None;
        }
        let mut left = f64::from(total) * share;
        let found = counts.iter().position(|count| {
            left -= f64::from(*count);
            left <= 0.0
        });
        found.map(upper)
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2();
    let within = if power >= 3 { micros >> (power - 3) } else { micros << (3 - power) } & 7;
    let index = u64::from(power.min(POWERS - 1)) * u64::from(FINE) + within;
    usize::try_from(index).unwrap_or(0)
}

/// The end of a bucket.
fn upper(bucket: usize) -> Duration {
    let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
    let (power, within) = (bucket / FINE, bucket % FINE);
    let micros = 2_f64.powi(power.cast_signed()) * (1.0 + f64::from(within + 1) / f64::from(FINE));
    Duration::from_secs_f64(micros / 1e6)
}

impl std::fmt::Debug for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Latencies(p95 {:?})", self.percentile(0.95))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_exact_to_an_eighth() {
        let latencies = Latencies::default();
        for millis in 1..=1000 {
            latencies.record(Duration::from_millis(millis));
        }
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = latencies.percentile(share).unwrap().as_secs_f64() * 1000.0;
            assert!(found >= exact && found <= exact * 1.13, "{share}: {found}");
        }
    }

    #[test]
    fn few_answers_say_nothing_and_old_ones_fade() {
        let latencies = Latencies::default();
        for _ in 1..FEW {
            latencies.record(Duration::from_secs(1));
        }
        assert_eq!(latencies.percentile(0.5), None);
        for _ in 0..3 * MANY {
            latencies.record(Duration::from_millis(1));
        }
        assert!(latencies.percentile(0.999).unwrap() < Duration::from_millis(2));
    }

    #[test]
    fn no_time_and_ages_have_a_place() {
        let latencies = Latencies::default();
        for _ in 0..FEW {
            latencies.record(Duration::ZERO);
            latencies.record(Duration::MAX);
        }
        assert!(latencies.percentile(0.4).unwrap() <= Duration::from_micros(2));
        assert!(latencies.percentile(1.0).unwrap() > Duration::from_secs(3600));
    }
}
