//! When a key set is fetched again. Plain decisions on times that are passed in.

use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two fetches, whatever tokens turn up.
pub(super) const PAUSE: Duration = Duration::from_secs(10);
/// How long the last good set serves beyond its time while its source fails.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is known about the age of a set.
#[derive(Debug)]
pub(super) struct Rotation {
    /// How long a set is good.
    good_for: Duration,
    /// When the last one came.
    fetched: Option<Instant>,
    /// When it was last asked for.
    asked: Option<Instant>,
    /// Whether somebody is asking.
    asking: bool,
}

/// What to do about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// The set says all there is to say.
    Use,
    /// It may be used, but is old: fetch another one meanwhile.
    UseAndFetch,
    /// Fetch one, and wait for it.
    Fetch,
    /// Wait for who is fetching.
    Wait,
    /// There is none, and it is too early to ask again.
    Nothing,
}

impl Rotation {
    pub fn new(good_for: Duration) -> Self {
        Self { good_for, fetched: None, asked: None, asking: false }
    }

    /// What to do. `Fetch` and `UseAndFetch` oblige the caller to fetch, and to say how it went.
    pub fn advise(&mut self, now: Instant, key_known: bool) -> Advice {
        let age = self.fetched.map(|at| now.saturating_duration_since(at));
        let usable = age.is_some_and(|age| age <= self.good_for + KEPT);
        let fresh = age.is_some_and(|age| age <= self.good_for);
        if usable && fresh && key_known {
            return Advice::Use;
        }
        if self.asking {
            return if usable && key_known { Advice::Use } else { Advice::Wait };
        }
        let early = self.asked.is_some_and(|at| now.saturating_duration_since(at) < PAUSE);
        match (usable, key_known, early) {
            (true, _, true) => Advice::Use,
            (false, _, true) => Advice::Nothing,
            (usable, known, false) => {
                (self.asking, self.asked) = (true, Some(now));
                if usable && known { Advice::UseAndFetch } else { Advice::Fetch }
            }
        }
    }

    /// A fetch has ended.
    pub fn ended(&mut self, now: Instant, good: bool) {
        self.asking = false;
        if good {
            self.fetched = Some(now);
        }
    }

    /// Whether the set may be used, old as it is.
    pub fn usable(&self, now: Instant) -> bool {
        let age = self.fetched.map(|at| now.saturating_duration_since(at));
        age.is_some_and(|age| age <= self.good_for + KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Duration = Duration::from_secs(300);
    const SECOND: Duration = Duration::from_secs(1);

    fn fetched(now: Instant) -> Rotation {
        let mut rotation = Rotation::new(GOOD);
        assert_eq!(rotation.advise(now, false), Advice::Fetch);
        rotation.ended(now, true);
        rotation
    }

    #[test]
    fn nobody_asks_while_somebody_does() {
        let (now, mut rotation) = (Instant::now(), Rotation::new(GOOD));
        assert_eq!(rotation.advise(now, false), Advice::Fetch);
        for later in 0..100 {
            assert_eq!(rotation.advise(now + later * SECOND, false), Advice::Wait);
        }
        rotation.ended(now + 100 * SECOND, true);
        assert_eq!(rotation.advise(now + 101 * SECOND, true), Advice::Use);
    }

    #[test]
    fn an_unknown_key_is_asked_for_every_ten_seconds_at_most() {
        let now = Instant::now();
        let mut rotation = fetched(now);
        let mut fetches = 0;
        for tenth in 0..1000 {
            let at = now + tenth * SECOND / 10;
            match rotation.advise(at, false) {
                Advice::Fetch => {
                    fetches += 1;
                    rotation.ended(at, true);
                }
                advice => assert_eq!(advice, Advice::Use, "the set answers for the rest"),
            }
        }
        assert_eq!(fetches, 9, "in a hundred seconds after the first");
    }

    #[test]
    fn an_old_set_serves_while_another_is_fetched() {
        let now = Instant::now();
        let mut rotation = fetched(now);
        assert_eq!(rotation.advise(now + GOOD, true), Advice::Use);
        let old = now + GOOD + SECOND;
        assert_eq!(rotation.advise(old, true), Advice::UseAndFetch);
        assert_eq!(rotation.advise(old, true), Advice::Use, "one fetch at a time");
        assert_eq!(rotation.advise(old, false), Advice::Wait, "but a new key may be in it");
        rotation.ended(old, true);
        assert_eq!(rotation.advise(old + GOOD, true), Advice::Use);
    }

    #[test]
    fn the_last_good_set_is_kept_for_a_day_of_failures() {
        let now = Instant::now();
        let mut rotation = fetched(now);
        let mut at = now + GOOD + SECOND;
        while at <= now + GOOD + KEPT {
            assert_eq!(rotation.advise(at, true), Advice::UseAndFetch);
            rotation.ended(at, false);
            assert_eq!(rotation.advise(at + SECOND, true), Advice::Use);
            assert!(rotation.usable(at));
            at += PAUSE * 60;
        }
        let over = now + GOOD + KEPT + SECOND;
        assert!(!rotation.usable(over));
        assert_eq!(rotation.advise(over, true), Advice::Fetch);
        rotation.ended(over, false);
        assert_eq!(rotation.advise(over + SECOND, true), Advice::Nothing);
        assert_eq!(rotation.advise(over + PAUSE, true), Advice::Fetch);
    }
}
