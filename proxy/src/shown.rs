//! Points of time as they are shown: by the wall clock, in UTC, to the millisecond.

use jiff::Timestamp;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How far the wall clock may go astray before a time that was shown is shown anew.
const ASTRAY: Duration = Duration::from_secs(1);

/// A time as RFC 3339 writes it.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| "-".to_owned(), |at| format!("{at:.3}"))
}

/// A deadline as it was last shown. Computed anew for each reader it would move by a millisecond now
/// and then, and whoever compares two readings would take that for a change.
#[derive(Debug, Default)]
pub(crate) struct Deadline(Option<(Instant, SystemTime)>);

impl Deadline {
    /// What to show of `at`, where it is `now` and `wall`: the same each time, unless the wall clock
    /// was set or the machine slept.
    pub(crate) fn show(&mut self, at: Instant, now: Instant, wall: SystemTime) -> String {
        let computed = wall + at.saturating_duration_since(now);
        let shown = match self.0 {
            Some((of, shown)) if of == at && apart(shown, computed) < ASTRAY => shown,
            _ => computed,
        };
        self.0 = Some((at, shown));
        rfc3339(shown)
    }
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_shown_the_same_until_it_or_the_wall_clock_is_another() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let millis = Duration::from_millis;
        let mut deadline = Deadline::default();
        let at = now + millis(5000);
        let mut show =
            |at, passed, off| deadline.show(at, now + millis(passed), wall + millis(off));
        assert_eq!(show(at, 0, 0), "1970-01-01T00:00:05.000Z");
        assert_eq!(show(at, 1000, 1001), "1970-01-01T00:00:05.000Z", "a tick apart");
        assert_eq!(show(at, 1000, 1), "1970-01-01T00:00:05.000Z", "and the other way");
        assert_eq!(show(at, 1000, 2000), "1970-01-01T00:00:06.000Z", "the clock was set");
        assert_eq!(show(at + millis(1), 1000, 1000), "1970-01-01T00:00:05.001Z", "another one");
        assert_eq!(show(at, 6000, 6000), "1970-01-01T00:00:06.000Z", "over: now");
    }
}
