//! The policies of a service, or of a route to it, compiled: what a request meets on its way.

use crate::breakers::{Breaker, Breakers};
use crate::policy::{Budget, Latencies};
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stitch_config::model::{Balance, Policies, Retry, Timeouts};
use tokio::time::Instant;

/// The plans of a configuration by their ids.
pub(crate) type Plans = HashMap<Arc<str>, Arc<Plan>>;

/// What policies keep over reloads, whatever the plans become.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub breakers: Arc<Breakers>,
}

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
    pub breaker: Option<Arc<Breaker>>,
    /// Endpoints are told how each attempt ended: for `eject`, and for `balance: ewma`.
    pub observes: bool,
}

impl Governing {
    /// No policies, for modes that need more than one step.
    pub const NONE: Self = Self { retries: None, breaker: None, observes: false };
}

/// `retry`, and what it counts.
#[derive(Clone, Debug)]
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

/// What a plan is made from.
pub(crate) struct Blueprint<'a> {
    pub id: Arc<str>,
    pub service: &'a str,
    pub timeouts: Timeouts,
    /// As its owner wrote them.
    pub written: &'a Policies,
    /// Merged with those above.
    pub policies: &'a Policies,
    /// The service's plan, for a route: what the route does not write is shared.
    pub base: Option<&'a Plan>,
    /// The plan of the same id before.
    pub previous: Option<&'a Plan>,
    pub kept: &'a Kept,
    pub now: Instant,
}

impl Plan {
    pub fn compile(from: Blueprint<'_>) -> Self {
        let governing = Governing {
            retries: from.retries(),
            breaker: from.breaker(),
            observes: from.policies.eject.get().is_some()
                || from.policies.balance.get() == Some(&Balance::Ewma),
        };
        let chooses = !matches!(
            from.policies.balance.get(),
            None | Some(Balance::LeastRequest | Balance::RoundRobin | Balance::Random)
        );
        let any = governing.retries.is_some()
            || governing.breaker.is_some()
            || governing.observes
            || chooses;
        let Blueprint { id, timeouts, .. } = from;
        Self { id, timeouts, governing: any.then(|| Box::new(governing)) }
    }

    /// Hands the numbers to the metrics facade.
    pub fn publish(&self, service: &str) {
        let Some(governing) = &self.governing else { return };
        if let Some(retries) = &governing.retries {
            retries.state.publish(&self.id, service);
        }
    }
}

impl Blueprint<'_> {
    /// What the service's plan has, where this owner wrote nothing of its own.
    fn shared<T>(&self, written: bool, of: impl Fn(&Governing) -> Option<T>) -> Option<T> {
        let base = self.base.filter(|_| !written)?;
        base.governing.as_deref().and_then(of)
    }

    fn retries(&self) -> Option<Retries> {
        let settings = self.policies.retry.get()?.clone();
        let before = self.previous.and_then(|plan| plan.governing.as_ref()?.retries.clone());
        let shared = || self.shared(self.written.retry.is_written(), |base| base.retries.clone());
        let state = shared().or(before).map(|retries| retries.state).unwrap_or_default();
        Some(Retries { settings, state })
    }

    fn breaker(&self) -> Option<Arc<Breaker>> {
        let settings = self.policies.breaker.get()?;
        self.shared(self.written.breaker.is_written(), |base| base.breaker.clone())
            .or_else(|| Some(self.kept.breakers.keep(&self.id, self.service, settings, self.now)))
    }
}

impl RetryState {
    fn publish(&self, id: &str, service: &str) {
        for (outcome, count) in [
            ("retried", &self.retried),
            ("denied_by_budget", &self.denied),
            ("hedged", &self.hedged),
            ("hedge_won", &self.hedges_won),
        ] {
            metrics::counter!("stitch_retries_total", "service" => service.to_owned(),
                "policy" => id.to_owned(), "outcome" => outcome)
            .absolute(count.load(Ordering::Relaxed));
        }
    }
}
