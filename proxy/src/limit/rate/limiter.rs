//! One rule with its buckets and what it counted.

use super::buckets::{Ask, Buckets};
use super::refused::{Notice, Refused};
use super::who::{Keys, Who};
use crate::limit::total::Total;
use serde::Serialize;
use std::sync::Arc;
use stitch_config::model::RateLimit;

/// A rule at work. Configurations share it for as long as it does not change.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) rule: RateLimit,
    buckets: Buckets,
    notice: Notice,
    /// Shared with the limiter that this one replaced, so that totals never fall.
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    allowed: Total,
    refused: Total,
}

/// What a limit says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimitView {
    /// Names the limit.
    pub id: Arc<str>,
    /// As it is written: `100/s`.
    pub rate: String,
    /// Requests that may come at once.
    pub burst: u32,
    /// Whose requests are counted together, as it is written; `None` counts all.
    pub by: Option<String>,
    /// Keys with a bucket now; 0 where all requests have one.
    pub keys: usize,
    /// Keys that are remembered at most.
    pub max_keys: usize,
    /// Requests that were let through.
    pub allowed: u64,
    /// Requests that were refused.
    pub refused: u64,
}

impl Limiter {
    /// With full buckets. `previous` had the same id.
    pub(super) fn new(rule: &RateLimit, previous: Option<&Self>) -> Self {
        Self {
            rule: rule.clone(),
            buckets: Buckets::new(rule),
            notice: Notice::new(rule),
            counts: previous.map(|previous| previous.counts.clone()).unwrap_or_default(),
        }
    }

    /// Counts the request, `now` nanoseconds after the registry began.
    pub(super) fn check(&self, keys: &Keys, who: &Who<'_>, now: u64) -> Result<(), Refused> {
        let key = self.rule.by.as_ref().map_or(0, |by| keys.of(by, who));
        match self.buckets.take(Ask { key, now }) {
            Ok(()) => {
                self.counts.allowed.add();
                Ok(())
            }
            Err(retry_after) => {
                self.counts.refused.add();
                Err(Refused { id: self.rule.id.clone(), retry_after, notice: self.notice.clone() })
            }
        }
    }

    pub(super) fn view(&self) -> RateLimitView {
        let rule = &self.rule;
        RateLimitView {
            id: rule.id.clone(),
            rate: rule.rate.to_string(),
            burst: rule.burst,
            by: rule.by.as_ref().map(ToString::to_string),
            keys: self.buckets.keys(),
            max_keys: if rule.by.is_some() { rule.keys } else { 0 },
            allowed: self.counts.allowed.get(),
            refused: self.counts.refused.get(),
        }
    }

    /// Tells the metrics what is new.
    pub(super) fn publish(&self) {
        for (total, outcome) in
            [(&self.counts.allowed, "allowed"), (&self.counts.refused, "refused")]
        {
            metrics::counter!("stitch_rate_limit_requests_total",
                "limit" => self.rule.id.clone(), "outcome" => outcome)
            .increment(total.news());
        }
        if self.rule.by.is_some() {
            self.publish_keys(self.buckets.keys());
        }
    }

    /// The last that the metrics hear of it.
    pub(super) fn retire(&self) {
        self.publish();
        if self.rule.by.is_some() {
            self.publish_keys(0);
        }
    }

    fn publish_keys(&self, keys: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a number of keys is small")]
        metrics::gauge!("stitch_rate_limit_keys", "limit" => self.rule.id.clone()).set(keys as f64);
    }
}
