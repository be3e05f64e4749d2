//! Gauges of policies that a reload took away: the metrics would show their last values for ever.

use crate::limit::bulkhead::Bulkhead;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A service, and the plan that has the bulkhead.
pub(super) type Labels = (String, String);

/// Whose gauges the metrics have.
#[derive(Debug, Default)]
pub(crate) struct Gauges(Mutex<BTreeSet<Labels>>);

impl Gauges {
    /// These bulkheads have told theirs; those of others fall to 0.
    pub fn told(&self, bulkheads: BTreeSet<Labels>) {
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (service, policy) in before.difference(&bulkheads) {
            Bulkhead::retire(service, policy);
        }
        *before = bulkheads;
    }
}
