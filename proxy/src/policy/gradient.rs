//! How many requests may be in flight, found from how long they take.
//!
//! The idea is Netflix's (Gradient2) and Envoy's (gradient controller): latency without load is
//! remembered as the baseline; as long as the median of a window of answers stays below `tolerance`
//! times the baseline the limit rises by its square root a window, beyond that it falls in
//! proportion. Where the two meet, a service with all its workers busy has a short queue before it.
//!
//! The baseline must be able to rise, or a service that became slower would be starved; and latency
//! under a full limit says nothing about latency without load. So, once in a while and only while
//! requests press against the limit, the limit drops to a fraction for a few answers, and these are
//! the new baseline. Everything follows from what is passed in: no clock, no randomness.

use std::time::Duration;

/// What the limit starts with, within its bounds.
const FIRST: f64 = 20.0;

/// Answers that make a window: as many as are in flight, so that each window is about what the one
/// before decided, but enough for a median and not more than are kept.
const WINDOW: (f64, f64) = (20.0, 250.0);

/// Answers that make a baseline, or as many as are in flight if that is more.
const BASELINE: u32 = 40;

/// With fewer of them a measurement that took too long is given up.
const LEAST: u32 = 10;

/// A measurement may always take as long as this.
const LONGEST: Duration = Duration::from_secs(1);

/// While the limit is reached the baseline is measured this often,
const OFTEN: Duration = Duration::from_secs(30);

/// but the limit stays up for at least this many times as long as it was down,
const RARELY: u32 = 50;

/// or this many when it went so far from where it was that the baseline is in doubt.
const IN_DOUBT: u32 = 10;

/// How much of the step from the old limit to the new one is taken.
const STEP: f64 = 0.5;

/// The limit never falls to less than this share of itself plus headroom in one go.
const LEAST_GRADIENT: f64 = 0.25;

/// How much of the difference to a new value a baseline takes on outside of a measurement.
const DRIFT: f64 = 0.2;

/// The bounds of the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adaptive {
    /// Least limit, at least 1.
    pub(crate) min: u32,
    /// Largest limit.
    pub(crate) max: u32,
    /// How far latency may rise above the baseline, as a factor above 1.
    pub(crate) tolerance: f64,
}

/// The limit and what it is found from.
#[derive(Debug)]
pub(crate) struct Gradient {
    bounds: Adaptive,
    limit: f64,
    /// Latency without load in nanoseconds, once there is one.
    baseline: Option<f64>,
    /// Latencies of the window or the measurement, in nanoseconds.
    samples: Vec<u64>,
    /// The most that were in flight in the window.
    peak: u32,
    /// Whether the limit has only ever risen: until it is found out where latency begins to rise,
    /// the steps are large.
    starting: bool,
    last: Option<Measured>,
    measuring: Option<Measuring>,
}

/// The last measurement.
#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Duration,
    took: Duration,
    /// The limit that it found.
    limit: f64,
}

/// A measurement under way.
#[derive(Clone, Copy, Debug)]
struct Measuring {
    since: Duration,
    /// Answers to requests that began since then and are not taken into account: those that come
    /// first are the quick ones.
    skip: u32,
    /// Answers that are.
    take: u32,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// How long it was waited for.
    pub(crate) took: Duration,
    pub(crate) failed: bool,
    /// How many were in flight, this one included.
    pub(crate) in_flight: u32,
}

impl Gradient {
    pub(crate) fn new(bounds: Adaptive) -> Self {
        Self {
            bounds,
            limit: bounded(FIRST, bounds),
            baseline: None,
            samples: Vec::new(),
            peak: 0,
            starting: true,
            last: None,
            measuring: None,
        }
    }

    /// Goes on within other bounds.
    pub(crate) fn configure(&mut self, bounds: Adaptive) {
        self.bounds = bounds;
        self.limit = bounded(self.limit, bounds);
    }

    pub(crate) fn bounds(&self) -> Adaptive {
        self.bounds
    }

    /// How many may be in flight now.
    pub(crate) fn limit(&self) -> u32 {
        let limit = if self.measuring.is_some() { self.fraction() } else { self.limit };
        whole(limit)
    }

    /// Latency without load, once it is known.
    pub(crate) fn baseline(&self) -> Option<Duration> {
        self.baseline.map(|nanos| Duration::from_secs_f64(nanos / 1e9))
    }

    /// Takes an answer into account; the limit may have changed. `now` is the time since some moment,
    /// always the same one.
    pub(crate) fn answered(&mut self, now: Duration, answer: Answer) {
        // Failures are often quick, and say nothing of how long the work takes. A slow one does.
        let nanos = nanos(answer.took);
        let quick = self.baseline.is_none_or(|baseline| float(nanos) <= baseline);
        if answer.failed && (quick || self.measuring.is_some()) {
            return;
        }
        match self.measuring {
            Some(measuring) => self.measure(now, measuring, answer, nanos),
            None => self.collect(now, answer, nanos),
        }
    }

    /// The limit of a measurement: so small that where the limit would settle on its result, it is
    /// smaller still the next time, until there is no queue in it.
    fn fraction(&self) -> f64 {
        bounded(self.limit / (3.0 * self.bounds.tolerance), self.bounds)
    }

    fn collect(&mut self, now: Duration, answer: Answer, nanos: u64) {
        self.samples.push(nanos);
        self.peak = self.peak.max(answer.in_flight);
        let window = whole(self.limit.clamp(WINDOW.0, WINDOW.1));
        if self.samples.len() < usize::try_from(window).unwrap_or(usize::MAX) {
            return;
        }
        let (median, peak) = (self.median(), f64::from(self.peak));
        self.peak = 0;
        let baseline = *self.baseline.get_or_insert(median);
        let idle = peak <= self.fraction();
        if idle || median < baseline {
            self.baseline = Some(baseline + (median - baseline) * DRIFT);
        }
        if idle {
            // As good as a measurement, and it cost nothing.
            self.last = Some(Measured { at: now, took: Duration::ZERO, limit: self.limit });
        }
        let reached = peak >= self.limit.floor();
        self.adjust(median, peak);
        if reached && self.due(now) {
            let size = whole(self.fraction());
            let take = size.clamp(BASELINE, whole(WINDOW.1));
            self.measuring = Some(Measuring { since: now, skip: size.saturating_mul(2), take });
        }
    }

    /// One step of the limit.
    fn adjust(&mut self, median: f64, peak: f64) {
        let Some(baseline) = self.baseline else { return };
        // A limit that nobody comes near has nothing to do with how long things take.
        if peak < self.limit / 2.0 {
            return;
        }
        let gradient = (self.bounds.tolerance * baseline / median).clamp(LEAST_GRADIENT, 1.0);
        self.starting &= gradient >= 1.0;
        let headroom = if self.starting { self.limit } else { self.limit.sqrt() };
        let target = self.limit * gradient + headroom;
        self.limit = bounded(self.limit + (target - self.limit) * STEP, self.bounds);
    }

    /// Whether the baseline has to be measured again.
    fn due(&self, now: Duration) -> bool {
        let Some(last) = self.last else { return true };
        if self.fraction() >= self.limit {
            // The limit is as low as it can be, so every answer is a measurement.
            return false;
        }
        let factor = self.bounds.tolerance.sqrt();
        let in_doubt = self.limit > last.limit * factor || self.limit < last.limit / factor;
        let since = now.saturating_sub(last.at);
        since >= OFTEN.max(last.took * RARELY) || in_doubt && since >= last.took * IN_DOUBT
    }

    fn measure(&mut self, now: Duration, mut measuring: Measuring, answer: Answer, nanos: u64) {
        // Whatever began since then found no more before it than the measurement lets in.
        let began = now.checked_sub(answer.took);
        if began.is_some_and(|began| began >= measuring.since) {
            if measuring.skip > 0 {
                measuring.skip -= 1;
                self.measuring = Some(measuring);
            } else {
                self.samples.push(nanos);
            }
        }
        let took = now.saturating_sub(measuring.since);
        if self.samples.len() >= measuring.take as usize || took >= self.patience(measuring) {
            self.conclude(now, took);
        }
    }

    /// How long a measurement may take: four times as long as it would without a queue.
    fn patience(&self, measuring: Measuring) -> Duration {
        let one = self.baseline().unwrap_or_default();
        let size = whole(self.fraction());
        let rounds = 3 + measuring.take.div_ceil(size);
        LONGEST.max(one.saturating_mul(4 * rounds))
    }

    fn conclude(&mut self, now: Duration, took: Duration) {
        if self.samples.len() >= LEAST as usize {
            self.baseline = Some(self.median());
        }
        self.samples.clear();
        self.measuring = None;
        self.last = Some(Measured { at: now, took, limit: self.limit });
    }

    /// Ends the window.
    fn median(&mut self) -> f64 {
        let middle = self.samples.len() / 2;
        let (_, median, _) = self.samples.select_nth_unstable(middle);
        let median = float(*median).max(1.0);
        self.samples.clear();
        median
    }
}

fn bounded(limit: f64, bounds: Adaptive) -> f64 {
    limit.min(f64::from(bounds.max)).max(f64::from(bounds.min.max(1)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are between 1 and u32::MAX"
)]
fn whole(limit: f64) -> u32 {
    limit as u32
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody tells apart two latencies of a hundred days"
)]
fn float(nanos: u64) -> f64 {
    nanos as f64
}
