//! Plans for the API and for `stitch explain`: what policies do just now, not what the file says.

use super::governing::Plan;
use crate::breakers::BreakerView;
use crate::limit::bulkhead::BulkheadView;
use serde::Serialize;
use tokio::time::Instant;

/// The state of one plan's policies.
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
    /// The ids of its rate limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<String>,
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
            rate_limits: rates
                .map(|rates| rates.ids().map(ToString::to_string).collect())
                .unwrap_or_default(),
        };
        let any =
            view.breaker.is_some() || view.concurrency.is_some() || !view.rate_limits.is_empty();
        any.then_some(view)
    }
}
