//! Plans as requests meet them.

use super::blueprint::Blueprint;
use super::gauges::Labels;
use super::view::RetryView;
use crate::auth::Auth;
use crate::breakers::Breaker;
use crate::edge::{Cors, Mirror};
use crate::edit::Edits;
use crate::limit::bulkhead::Bulkhead;
use crate::limit::rate::RateLimits;
use crate::policy::{Budget, Latencies};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stitch_config::model::{Retry, Timeouts};

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

/// Policies that take part in a request, in the order in which it meets them.
#[derive(Debug)]
pub(crate) struct Governing {
    pub cors: Option<Arc<Cors>>,
    pub auth: Option<Arc<Auth>>,
    pub rates: Option<RateLimits>,
    pub bulkhead: Option<Arc<Bulkhead>>,
    pub edits: Option<Box<Edits>>,
    pub mirror: Option<Arc<Mirror>>,
    pub retries: Option<Retries>,
    pub breaker: Option<Arc<Breaker>>,
    /// Something of a request keeps it on an endpoint: `balance: hash:…` and `sticky:…`.
    pub binds: bool,
    /// Endpoints are told how each attempt ended: for `eject`, and for `balance: ewma`.
    pub observes: bool,
    pub compression: bool,
}

impl Governing {
    /// No policies, for modes that need more than one step.
    pub const NONE: Self = Self {
        cors: None,
        auth: None,
        rates: None,
        bulkhead: None,
        edits: None,
        mirror: None,
        retries: None,
        breaker: None,
        binds: false,
        observes: false,
        compression: false,
    };

    /// Whether any of them is there.
    pub(super) fn is_something(&self) -> bool {
        self.cors.is_some()
            || self.auth.is_some()
            || self.rates.is_some()
            || self.bulkhead.is_some()
            || self.edits.is_some()
            || self.mirror.is_some()
            || self.retries.is_some()
            || self.breaker.is_some()
            || self.binds
            || self.observes
            || self.compression
    }
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

impl Plan {
    pub fn compile(from: &Blueprint<'_>) -> Self {
        let governing = from.governing();
        Self {
            id: from.id.clone(),
            timeouts: from.timeouts,
            governing: governing.is_something().then(|| Box::new(governing)),
        }
    }

    /// Hands the numbers to the metrics facade. What a route shares with its service is the
    /// service's to tell: it would count twice. `bulkheads` are those that tell how full they are.
    pub fn publish(&self, service: &str, base: Option<&Self>, bulkheads: &mut BTreeSet<Labels>) {
        let Some(governing) = &self.governing else { return };
        let base = base.and_then(|base| base.governing.as_deref()).unwrap_or(&Governing::NONE);
        let counted = base.retries.as_ref().map(|retries| &retries.state);
        if let Some(Retries { state, .. }) = &governing.retries
            && counted.is_none_or(|counted| !Arc::ptr_eq(counted, state))
        {
            state.publish(&self.id, service);
        }
        if let Some(bulkhead) = own(governing.bulkhead.as_ref(), base.bulkhead.as_ref()) {
            bulkhead.publish(service, &self.id);
            bulkheads.insert((service.to_owned(), self.id.to_string()));
        }
        if let Some(mirror) = own(governing.mirror.as_ref(), base.mirror.as_ref()) {
            mirror.publish(service);
        }
    }
}

/// What is not the service's, too.
fn own<'a, T>(here: Option<&'a Arc<T>>, base: Option<&Arc<T>>) -> Option<&'a Arc<T>> {
    here.filter(|here| base.is_none_or(|base| !Arc::ptr_eq(base, here)))
}

impl RetryState {
    /// The numbers now.
    pub fn view(&self) -> RetryView {
        RetryView {
            retried: self.retried.load(Ordering::Relaxed),
            denied_by_budget: self.denied.load(Ordering::Relaxed),
            hedged: self.hedged.load(Ordering::Relaxed),
            hedges_won: self.hedges_won.load(Ordering::Relaxed),
        }
    }

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
