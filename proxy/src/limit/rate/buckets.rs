//! Where the buckets of one rule are: the one place to add a store that sidecars share.
//!
//! GCRA itself is governor's. It is told that the time is always 0, and the stores move the instants
//! that they keep accordingly: what is due is given to it as time from now on. So the time of a check
//! comes from the caller, and a bucket is 64 bits that are never read from a clock.

use super::bounded::BoundedTable;
use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stitch_config::model::RateLimit;

/// The longest time that a bucket may take to fill; the loader refuses more.
const LONGEST: u64 = 366 * 24 * 3600 * 1_000_000_000;

/// The buckets of one rule.
///
/// A store that several sidecars share is one more variant. [`Buckets::take`] is called on the
/// request path and must not wait, so such a variant answers from a share that was leased to this
/// process, and renews the lease in the background.
#[derive(Debug)]
pub(super) enum Buckets {
    /// One bucket for everybody, in this process.
    One(Box<RateLimiter<Ask, OneBucket, Still>>),
    /// One bucket per key, in this process.
    PerKey {
        limiter: Box<RateLimiter<Ask, ManyBuckets, Still>>,
        /// The limiter's store, which governor does not show again.
        keys: Arc<BoundedTable>,
    },
}

impl Buckets {
    /// Full buckets.
    pub(super) fn new(rule: &RateLimit) -> Self {
        let quota = quota(rule);
        match rule.by {
            None => Self::One(Box::new(RateLimiter::new(quota, OneBucket::default(), Still))),
            Some(_) => {
                let keys = Arc::new(BoundedTable::new(rule.keys));
                let store = ManyBuckets(keys.clone());
                Self::PerKey { limiter: Box::new(RateLimiter::new(quota, store, Still)), keys }
            }
        }
    }

    /// Takes a token, or says how long there will be none.
    pub(super) fn take(&self, ask: Ask) -> Result<(), Duration> {
        let taken = match self {
            Self::One(limiter) => limiter.check_key(&ask),
            Self::PerKey { limiter, .. } => limiter.check_key(&ask),
        };
        taken.map_err(|until| until.wait_time_from(Nanos::default()))
    }

    /// How many keys have a bucket.
    pub(super) fn keys(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::PerKey { keys, .. } => keys.len(),
        }
    }
}

/// The rule in governor's words.
fn quota(rule: &RateLimit) -> Quota {
    let nanos = u64::try_from(rule.rate.per.as_nanos()).unwrap_or(u64::MAX);
    let interval = (nanos / u64::from(rule.rate.count.max(1))).clamp(1, LONGEST);
    let most = u32::try_from(LONGEST / interval).unwrap_or(u32::MAX);
    let burst = NonZeroU32::new(rule.burst.min(most)).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(Duration::from_nanos(interval))
        .expect("the interval is at least a nanosecond")
        .allow_burst(burst)
}

/// A question to a store: which key, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ask {
    pub(super) key: u64,
    /// Nanoseconds since the registry began.
    pub(super) now: u64,
}

impl Ask {
    /// Runs governor's decision on the instant that was kept: it sees and gives times from now on.
    /// An instant that has passed is a full bucket.
    fn decide<T, E>(
        &self,
        due: Option<u64>,
        decision: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    ) -> Result<(T, u64), E> {
        let ahead = due.map(|due| Nanos::from(due.saturating_sub(self.now)));
        decision(ahead).map(|(out, next)| (out, self.now.saturating_add(next.as_u64())))
    }
}

/// The clock that governor gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Still;

impl Clock for Still {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::default()
    }
}

/// One bucket: when the last of its tokens that were taken is due.
#[derive(Debug, Default)]
pub(super) struct OneBucket(AtomicU64);

impl StateStore for OneBucket {
    type Key = Ask;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask, decision: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut due = self.0.load(Ordering::Relaxed);
        loop {
            let (out, next) = ask.decide(Some(due), &decision)?;
            match self.0.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(out),
                Err(changed) => due = changed,
            }
        }
    }
}

/// The same per key.
#[derive(Debug)]
pub(super) struct ManyBuckets(Arc<BoundedTable>);

impl StateStore for ManyBuckets {
    type Key = Ask;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask, decision: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.update(ask.key, |due| ask.decide(due, decision))
    }
}
