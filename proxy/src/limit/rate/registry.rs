//! All limits of the process: what survives a reload, and what a request is checked against.

use super::limiter::{Limiter, RateLimitView};
use super::refused::Refused;
use super::who::{Keys, Who};
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stitch_config::model::RateLimit;
use tokio::time::Instant;

/// The limits of this process by their ids. Limits with one id are one limit, wherever they are used.
#[derive(Debug)]
pub struct RateLimiters {
    limiters: Mutex<HashMap<Arc<str>, Arc<Limiter>>>,
    keys: Arc<Keys>,
    began: Instant,
}

/// The limits of one service or route, narrowest first.
#[derive(Clone, Debug)]
pub struct RateLimits {
    limiters: Box<[Arc<Limiter>]>,
    keys: Arc<Keys>,
    began: Instant,
}

impl RateLimiters {
    /// No limits yet; the time is counted from `now`.
    pub fn new(now: Instant) -> Self {
        Self { limiters: Mutex::default(), keys: Arc::default(), began: now }
    }

    /// These rules at work. A rule that is exactly as it was goes on with the buckets that it has;
    /// one that changed, however little, begins with full ones.
    pub fn keep(&self, rules: &[RateLimit]) -> RateLimits {
        let mut all = self.all();
        let mut limiters: Vec<_> = rules.iter().map(|rule| keep(&mut all, rule)).collect();
        // Stable: rules of one kind stay in the order of the file.
        limiters.sort_by_key(|limiter| limiter.rule.by.is_none());
        RateLimits { limiters: limiters.into(), keys: self.keys.clone(), began: self.began }
    }

    /// Forgets limits that no [`RateLimits`] holds. Called once a new configuration is in force; a
    /// request that still runs under the one before keeps its limits until the next call.
    pub fn retain(&self) {
        self.all().retain(|_, limiter| {
            let used = Arc::strong_count(limiter) > 1;
            if !used {
                limiter.retire();
            }
            used
        });
    }

    /// Every limit, by id.
    pub fn view(&self) -> Vec<RateLimitView> {
        let mut views: Vec<_> = self.all().values().map(|limiter| limiter.view()).collect();
        views.sort_by(|one, other| one.id.cmp(&other.id));
        views
    }

    /// Hands the numbers to the metrics facade; called before they are scraped.
    pub fn publish(&self) {
        for limiter in self.all().values() {
            limiter.publish();
        }
    }

    /// Held by reloads, views and scrapes, never by a request.
    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Limiter>>> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(all: &mut HashMap<Arc<str>, Arc<Limiter>>, rule: &RateLimit) -> Arc<Limiter> {
    let previous = all.get(&rule.id);
    if let Some(limiter) = previous.filter(|limiter| limiter.rule == *rule) {
        return limiter.clone();
    }
    let limiter = Arc::new(Limiter::new(rule, previous.map(|previous| &**previous)));
    all.insert(rule.id.clone(), limiter.clone());
    limiter
}

impl RateLimits {
    /// Takes a token of every limit, and stops at the first that has none. What the ones before gave
    /// stays taken.
    ///
    /// # Errors
    ///
    /// The limit that refused, and for how long it will.
    pub fn check(&self, who: &Who<'_>, now: Instant) -> Result<(), Refused> {
        let now = now.saturating_duration_since(self.began).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.limiters.iter().try_for_each(|limiter| limiter.check(&self.keys, who, now))
    }

    /// The ids of the limits, in the order in which they are asked.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.limiters.iter().map(|limiter| &limiter.rule.id)
    }

    /// What each limit says of itself, in the same order.
    pub fn view(&self) -> Vec<RateLimitView> {
        self.limiters.iter().map(|limiter| limiter.view()).collect()
    }
}
