//! Plans for the API: what policies do just now, not what the file says.

use super::governing::Plan;
use crate::breakers::BreakerView;
use crate::edge::MirrorView;
use crate::limit::bulkhead::BulkheadView;
use crate::limit::rate::{RateLimitView, RateLimits};
use serde::Serialize;
use std::sync::Arc;
use stitch_config::model::Route;
use tokio::time::Instant;

/// The state of one plan's policies. What a route does not have for itself is its service's.
#[derive(Clone, Debug, Serialize)]
pub struct PlanView {
    /// The service's name, or `service@route`.
    pub id: String,
    /// Its breaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerView>,
    /// Its bulkhead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<BulkheadView>,
    /// Its rate limits, in the order in which they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitView>,
    /// What its retries counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetryView>,
    /// Its copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorView>,
}

/// What retries counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RetryView {
    /// Attempts after a failed one.
    pub retried: u64,
    /// Attempts that the budget did not allow.
    pub denied_by_budget: u64,
    /// Attempts while the first was still waited for.
    pub hedged: u64,
    /// Of those, the ones that were first.
    pub hedges_won: u64,
}

/// A route that has policies of its own, as its service's page shows it.
#[derive(Clone, Debug)]
pub struct RoutePlan {
    /// As declared.
    pub route: Arc<Route>,
    /// `service@route`, which its breaker is called too.
    pub id: Arc<str>,
    /// What its policies do; `None` where none of them has a state.
    pub state: Option<PlanView>,
}

impl Plan {
    /// What its policies do now; `None` where none of them has a state.
    pub fn view(&self, now: Instant) -> Option<PlanView> {
        let governing = self.governing.as_deref()?;
        let rates = governing.rates.as_ref();
        let view = PlanView {
            id: self.id.to_string(),
            breaker: governing.breaker.as_ref().map(|breaker| breaker.view(now)),
            concurrency: governing.bulkhead.as_ref().map(|bulkhead| bulkhead.view()),
            rate_limits: rates.map(RateLimits::view).unwrap_or_default(),
            retries: governing.retries.as_ref().map(|retries| retries.state.view()),
            mirror: governing.mirror.as_ref().map(|mirror| mirror.view()),
        };
        let any = view.breaker.is_some()
            || view.concurrency.is_some()
            || !view.rate_limits.is_empty()
            || view.retries.is_some()
            || view.mirror.is_some();
        any.then_some(view)
    }
}
