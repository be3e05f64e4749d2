//! When to start a command again: soon at first, then with growing patience, and hardly at all in a
//! crash loop. Plain decisions on given times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The numbers behind the decisions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Before the first restart; doubles with each.
    pub(super) first: Duration,
    /// The longest pause that doubling leads to, and the pause in a crash loop.
    pub(super) longest: Duration,
    /// A command that ran this long starts afresh.
    pub(super) settled: Duration,
    /// This many ends…
    pub(super) ends: usize,
    /// …within this time are a crash loop.
    pub(super) window: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            settled: Duration::from_secs(10),
            ends: 5,
            window: Duration::from_secs(60),
        }
    }
}

/// What to do after a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start it again after this pause.
    Restart(Duration),
    /// The same, but it is in a crash loop.
    CrashLoop {
        /// The pause.
        after: Duration,
        /// Whether that is news.
        begun: bool,
    },
}

impl Next {
    /// The pause before the next start.
    pub(super) fn after(self) -> Duration {
        match self {
            Self::Restart(after) | Self::CrashLoop { after, .. } => after,
        }
    }
}

/// What is remembered of a command's ends.
#[derive(Debug)]
pub(super) struct Restarts {
    patience: Patience,
    /// The latest ends, at most `patience.ends`.
    ends: VecDeque<Instant>,
    delay: Duration,
    looping: bool,
}

impl Restarts {
    pub(super) fn new(patience: Patience) -> Self {
        let ends = VecDeque::with_capacity(patience.ends);
        Self { patience, ends, delay: patience.first, looping: false }
    }

    /// The command that was started at one time ended at another.
    pub(super) fn ended(&mut self, started: Instant, now: Instant) -> Next {
        let Patience { first, longest, settled, ends, window } = self.patience;
        if now.saturating_duration_since(started) >= settled {
            self.delay = first;
            self.looping = false;
        }
        if self.ends.len() >= ends {
            self.ends.pop_front();
        }
        self.ends.push_back(now);
        let oldest = self.ends.front().filter(|_| self.ends.len() >= ends);
        let crowded = oldest.is_some_and(|oldest| now.saturating_duration_since(*oldest) <= window);
        if crowded || self.looping {
            let begun = !self.looping;
            self.looping = true;
            return Next::CrashLoop { after: longest, begun };
        }
        let after = self.delay;
        self.delay = (after * 2).min(longest);
        Next::Restart(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn restart(millis: u64) -> Next {
        Next::Restart(Duration::from_millis(millis))
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut restarts = Restarts::new(Patience { ends: 100, ..Patience::default() });
        let now = Instant::now();
        let pauses: Vec<_> = (0..9).map(|_| restarts.ended(now, now).after()).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000];
        assert_eq!(pauses, expected.map(Duration::from_millis));
    }

    #[test]
    fn a_settled_command_starts_afresh() {
        let mut restarts = Restarts::new(Patience::default());
        let now = Instant::now();
        assert_eq!(restarts.ended(now, now), restart(500));
        assert_eq!(restarts.ended(now, now + 9 * SECOND), restart(1000));
        assert_eq!(restarts.ended(now, now + 10 * SECOND), restart(500));
    }

    #[test]
    fn five_ends_in_a_minute_are_a_crash_loop_told_once() {
        let mut restarts = Restarts::new(Patience::default());
        let now = Instant::now();
        for _ in 0..4 {
            assert!(matches!(restarts.ended(now, now), Next::Restart(_)));
        }
        let after = 30 * SECOND;
        let end = now + 60 * SECOND;
        assert_eq!(restarts.ended(end, end), Next::CrashLoop { after, begun: true });
        let end = now + 600 * SECOND;
        assert_eq!(restarts.ended(end, end), Next::CrashLoop { after, begun: false });
    }

    #[test]
    fn ends_further_apart_are_no_loop() {
        let mut restarts = Restarts::new(Patience::default());
        let now = Instant::now();
        for end in [0, 15, 31, 46, 61, 76] {
            let end = now + end * SECOND;
            assert!(matches!(restarts.ended(end, end), Next::Restart(_)), "{end:?}");
        }
    }

    #[test]
    fn a_loop_ends_when_the_command_settles() {
        let mut restarts = Restarts::new(Patience::default());
        let now = Instant::now();
        for _ in 0..5 {
            restarts.ended(now, now);
        }
        let later = now + 120 * SECOND;
        assert_eq!(restarts.ended(later - 10 * SECOND, later), restart(500));
        assert_eq!(restarts.ended(later, later), restart(1000));
    }
}
