//! Every breaker of the process by its id. It outlives reloads, as the breakers in it do.

use super::handle::Breaker;
use super::transitions::Transitions;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stitch_config::model;
use tokio::time::Instant;

/// The breakers.
#[derive(Debug, Default)]
pub struct Breakers {
    by_id: Mutex<BTreeMap<Arc<str>, Arc<Breaker>>>,
    transitions: Arc<Transitions>,
}

impl Breakers {
    /// The breaker of that id.
    pub fn get(&self, id: &str) -> Option<Arc<Breaker>> {
        self.lock().get(id).cloned()
    }

    /// All of them, by id.
    pub fn list(&self) -> Vec<Arc<Breaker>> {
        self.lock().values().cloned().collect()
    }

    /// The breaker of that id, with these settings from now on: the one that is there, or a new one.
    pub fn keep(
        &self,
        id: &str,
        service: &str,
        settings: &model::Breaker,
        now: Instant,
    ) -> Arc<Breaker> {
        let mut by_id = self.lock();
        if let Some(breaker) = by_id.get(id) {
            breaker.reconfigure(settings, now);
            return breaker.clone();
        }
        let transitions = self.transitions.clone();
        let breaker = Breaker::new(id.into(), service.into(), settings, now, transitions);
        by_id.insert(breaker.id().clone(), breaker.clone());
        breaker
    }

    /// Drops those that the configuration has no more. Calls under way keep theirs to their end.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.lock().retain(|id, breaker| {
            let stays = keep(id);
            if !stays {
                breaker.publish_state(None);
            }
            stays
        });
    }

    /// What they did, and will do.
    pub fn transitions(&self) -> &Arc<Transitions> {
        &self.transitions
    }

    /// Does what time alone does; gives when that is next.
    pub fn advance(&self, now: Instant) -> Option<Instant> {
        self.list().iter().filter_map(|breaker| breaker.advance(now)).min()
    }

    /// Hands the numbers to the metrics facade.
    pub fn publish(&self) {
        for breaker in self.list() {
            breaker.publish();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Breaker>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
