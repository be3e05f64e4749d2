//! The numbers that a machine decides by, from either policy that uses one.

use std::time::Duration;
use stitch_config::model::{Breaker, Eject, Slow};

/// Growing open times end here, unless the first one is longer already.
const LONGEST_OPEN: Duration = Duration::from_secs(300);

/// When a machine opens, for how long, and how it closes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub(super) consecutive: Option<u32>,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow: Option<Slow>,
    pub(super) window: Duration,
    pub(super) min_calls: u32,
    pub(super) open: Duration,
    pub(super) open_factor: f64,
    pub(super) probes: u32,
    pub(super) half_open_timeout: Duration,
    /// Whether half-open time counts from the first probe. An endpoint gets no calls while it is
    /// not picked, which says nothing about it.
    pub(super) patient: bool,
}

impl From<&Breaker> for Rules {
    fn from(settings: &Breaker) -> Self {
        Self {
            consecutive: settings.consecutive,
            failure_rate: settings.failure_rate,
            slow: settings.slow,
            window: settings.window,
            min_calls: settings.min_calls.max(1),
            open: settings.open,
            open_factor: settings.open_factor,
            probes: settings.probes.max(1),
            half_open_timeout: settings.half_open_timeout,
            patient: false,
        }
    }
}

/// Ejection: failures in a row alone, and one probe.
impl From<&Eject> for Rules {
    fn from(settings: &Eject) -> Self {
        Self {
            consecutive: Some(settings.consecutive),
            failure_rate: None,
            open: settings.lasts,
            probes: 1,
            half_open_timeout: settings.lasts,
            patient: true,
            ..Self::from(&Breaker::default())
        }
    }
}

impl Rules {
    /// How long it stays open the `n`th time in a row, from 1.
    pub(super) fn open_time(&self, n: u32) -> Duration {
        let longest = LONGEST_OPEN.max(self.open);
        let times = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.open.as_secs_f64() * self.open_factor.powi(times);
        // What is too much for a duration is too much for us.
        Duration::try_from_secs_f64(seconds).map_or(longest, |time| time.min(longest))
    }

    /// Whether an answer that took this long is slow.
    pub(super) fn is_slow(&self, took: Duration) -> bool {
        self.slow.is_some_and(|slow| took > slow.over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_times(open: u64, open_factor: f64) -> Vec<u64> {
        let open = Duration::from_secs(open);
        let rules = Rules::from(&Breaker { open, open_factor, ..Breaker::default() });
        [1, 2, 3, 4, u32::MAX].map(|n| rules.open_time(n).as_secs()).to_vec()
    }

    #[test]
    fn open_times_grow_up_to_five_minutes() {
        assert_eq!(open_times(60, 1.0), [60, 60, 60, 60, 60]);
        assert_eq!(open_times(60, 2.0), [60, 120, 240, 300, 300]);
        assert_eq!(open_times(1, 1.5), [1, 1, 2, 3, 300]);
    }

    #[test]
    fn an_open_time_that_is_longer_from_the_start_stays_as_written() {
        assert_eq!(open_times(600, 2.0), [600, 600, 600, 600, 600]);
    }

    #[test]
    fn slow_is_later_than_the_limit() {
        let slow = Some(Slow { over: Duration::from_secs(2), rate: 1.0 });
        let rules = Rules::from(&Breaker { slow, ..Breaker::default() });
        assert!(!rules.is_slow(Duration::from_secs(2)));
        assert!(rules.is_slow(Duration::from_millis(2001)));
        assert!(!Rules::from(&Breaker::default()).is_slow(Duration::MAX));
    }
}
