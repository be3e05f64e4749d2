//! Whether an endpoint is well, as its checks have it, and when the next one is due.
//!
//! A new endpoint is well until told otherwise. Its first check settles that alone, and so does the
//! first one that it passes: until then nothing is known that one result could be weighed against.
//! From then on it takes several in a row.

use std::time::Duration;

/// Give or take: checks of many endpoints, or by many proxies, shall not fall on one moment.
const JITTER: f64 = 0.1;

/// How many results in a row change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Good ones that bring an endpoint back.
    pub(crate) healthy: u32,
    /// Bad ones that take it out.
    pub(crate) unhealthy: u32,
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    well: bool,
    /// Whether it has passed a check.
    known: bool,
    last_was_good: bool,
    /// Results in a row that were like the last one.
    in_a_row: u32,
}

/// An endpoint stands differently since the last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// How it stands now.
    pub(crate) well: bool,
    /// After how many like results.
    pub(crate) in_a_row: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self { well: true, known: false, last_was_good: true, in_a_row: 0 }
    }
}

impl Standing {
    /// Whether it may get requests.
    pub(crate) fn is_well(&self) -> bool {
        self.well
    }

    /// Takes in the result of a check.
    pub(crate) fn hear(&mut self, good: bool, thresholds: Thresholds) -> Option<Change> {
        let like = good == self.last_was_good;
        self.in_a_row = if like { self.in_a_row.saturating_add(1) } else { 1 };
        self.last_was_good = good;
        let enough = match (self.known, good) {
            (false, _) => 1,
            (true, true) => thresholds.healthy,
            (true, false) => thresholds.unhealthy,
        };
        self.known |= good;
        if self.well == good || self.in_a_row < enough {
            return None;
        }
        self.well = good;
        Some(Change { well: good, in_a_row: self.in_a_row })
    }

    /// Something else is asked from now on: what is known says little about its answer.
    pub(crate) fn ask_anew(&mut self) {
        *self = Self { well: self.well, ..Self::default() };
    }
}

/// How long to wait after a check that took this long. `draw` is from 0 to 1; what took longer than
/// `every` is followed at once, and nothing is made up for.
pub(crate) fn pause_after(took: Duration, every: Duration, draw: f64) -> Duration {
    let share = 1.0 - JITTER + 2.0 * JITTER * draw.clamp(0.0, 1.0);
    every.mul_f64(share).saturating_sub(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Thresholds = Thresholds { healthy: 2, unhealthy: 3 };

    /// What follows from results, `+` or `-`, one after another: the new standing, or a dot.
    fn story(results: &str, thresholds: Thresholds) -> String {
        let mut standing = Standing::default();
        let mut tell = |result| match standing.hear(result == '+', thresholds) {
            Some(Change { well: true, .. }) => 'W',
            Some(Change { well: false, .. }) => 'U',
            None => '.',
        };
        results.chars().map(&mut tell).collect()
    }

    #[test]
    fn it_takes_several_in_a_row_to_change_anything() {
        assert_eq!(story("+---++", USUAL), "...U.W");
        assert_eq!(story("+--+--+--+", USUAL), "..........", "never three bad ones in a row");
        assert_eq!(
            story("+---+-+-+-++", USUAL),
            "...U.......W",
            "never two good ones before the end"
        );
        assert_eq!(story("+-----+++++", USUAL), "...U...W...");
    }

    #[test]
    fn one_may_be_enough() {
        let hasty = Thresholds { healthy: 1, unhealthy: 1 };
        assert_eq!(story("+-+-++--", hasty), ".UWUW.U.");
    }

    #[test]
    fn a_new_endpoint_is_well_until_its_first_check_says_otherwise() {
        assert!(Standing::default().is_well());
        assert_eq!(story("-", USUAL), "U");
        assert_eq!(story("+--", USUAL), "...");
    }

    #[test]
    fn the_first_check_that_it_ever_passes_brings_it_in() {
        assert_eq!(story("----+", USUAL), "U...W");
        assert_eq!(story("-+---+", USUAL), "UW..U.", "and only the first");
    }

    #[test]
    fn a_change_says_after_how_many() {
        let mut standing = Standing::default();
        assert_eq!(standing.hear(true, USUAL), None);
        assert_eq!([false; 2].map(|good| standing.hear(good, USUAL)), [None; 2]);
        let change = standing.hear(false, USUAL);
        assert_eq!(change, Some(Change { well: false, in_a_row: 3 }));
        assert!(!standing.is_well());
    }

    #[test]
    fn another_question_is_a_new_beginning() {
        let mut standing = Standing::default();
        for good in [true, false, false, false, true] {
            standing.hear(good, USUAL);
        }
        standing.ask_anew();
        assert!(!standing.is_well(), "nothing has been answered yet");
        assert_eq!(standing.hear(true, USUAL), Some(Change { well: true, in_a_row: 1 }));
    }

    const EVERY: Duration = Duration::from_secs(10);

    #[test]
    fn checks_are_a_tenth_apart_from_regular() {
        let pause = |draw| pause_after(Duration::ZERO, EVERY, draw).as_secs_f64();
        for (draw, seconds) in [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0), (-1.0, 9.0), (7.0, 11.0)] {
            assert!((pause(draw) - seconds).abs() < 1e-6, "{draw}: {}", pause(draw));
        }
    }

    #[test]
    fn what_a_check_took_is_part_of_the_time_to_the_next_one() {
        let pause = |seconds| pause_after(Duration::from_secs(seconds), EVERY, 0.5).as_secs_f64();
        assert!((pause(2) - 8.0).abs() < 1e-6, "{}", pause(2));
        assert_eq!(pause(35), 0.0, "a slow one is followed at once");
    }
}
