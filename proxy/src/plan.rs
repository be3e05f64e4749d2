//! The policies of a service, or of a route to it, compiled: what a request meets on its way.

use crate::policy::{Budget, Latencies};
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stitch_config::model::{Policies, Retry, Timeouts};

/// The plans of a configuration by their ids.
pub(crate) type Plans = HashMap<Arc<str>, Arc<Plan>>;

/// Policies in force along one way to a service.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The service's name, or `service@route`.
    pub id: Arc<str>,
    pub timeouts: Timeouts,
    /// `None` where nothing but timers was asked for.
    pub governing: Option<Box<Governing>>,
}

/// Policies that take part in a request.
#[derive(Debug)]
pub(crate) struct Governing {
    pub retries: Option<Retries>,
}

impl Governing {
    /// No policies, for modes that need more than one step.
    pub const NONE: Self = Self { retries: None };
}

/// `retry`, and what it counts.
#[derive(Debug)]
pub(crate) struct Retries {
    pub settings: Retry,
    pub state: Arc<RetryState>,
}

/// What retries keep over reloads.
#[derive(Debug, Default)]
pub(crate) struct RetryState {
    pub budget: Arc<Budget>,
    /// Only kept where a hedge wants to know.
    pub latencies: Latencies,
    /// Attempts after a failed one.
    pub retried: AtomicU64,
    /// Attempts that the budget did not allow.
    pub denied: AtomicU64,
    /// Attempts while the first was still waited for.
    pub hedged: AtomicU64,
    /// Of those, the ones that were first.
    pub hedges_won: AtomicU64,
}

impl Plan {
    /// Compiles policies; what they keep is taken over from `previous`, the plan of the same id.
    pub fn compile(
        id: Arc<str>,
        timeouts: Timeouts,
        policies: &Policies,
        previous: Option<&Self>,
    ) -> Self {
        let before = previous.and_then(|plan| plan.governing.as_ref());
        let retries = policies.retry.get().map(|settings| {
            let before = before.and_then(|governing| governing.retries.as_ref());
            let state = before.map(|retries| retries.state.clone()).unwrap_or_default();
            Retries { settings: settings.clone(), state }
        });
        let any = retries.is_some();
        Self { id, timeouts, governing: any.then(|| Box::new(Governing { retries })) }
    }

    /// Hands the numbers to the metrics facade.
    pub fn publish(&self, service: &Arc<str>) {
        let Some(governing) = &self.governing else { return };
        if let Some(retries) = &governing.retries {
            retries.state.publish(&self.id, service);
        }
    }
}

impl RetryState {
    fn publish(&self, id: &Arc<str>, service: &Arc<str>) {
        for (outcome, count) in [
            ("retried", &self.retried),
            ("denied_by_budget", &self.denied),
            ("hedged", &self.hedged),
            ("hedge_won", &self.hedges_won),
        ] {
            metrics::counter!("stitch_retries_total", "service" => service.to_string(),
                "policy" => id.to_string(), "outcome" => outcome)
            .absolute(count.load(Ordering::Relaxed));
        }
    }
}
