//! One breaker as calls see it: a machine behind a lock that is held for some tens of nanoseconds
//! and never across a wait.

use super::transitions::Transitions;
use super::view::{BreakerView, Shown};
use crate::policy::breaker::{
    Cause, Change, Changes, Machine, Mode, Rejected, State, Ticket, Verdict,
};
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stitch_config::model;
use tokio::time::Instant;

/// A breaker.
pub struct Breaker {
    id: Arc<str>,
    service: Arc<str>,
    inner: Mutex<Inner>,
    transitions: Arc<Transitions>,
}

struct Inner {
    machine: Machine,
    shown: Shown,
    /// Transitions so far; as many kinds as there are rows in the table of transitions.
    counted: HashMap<(State, State, Cause), u64>,
}

impl Breaker {
    /// A closed breaker. `transitions` hears of every change.
    pub fn new(
        id: Arc<str>,
        service: Arc<str>,
        settings: &model::Breaker,
        now: Instant,
        transitions: Arc<Transitions>,
    ) -> Arc<Self> {
        let machine = Machine::new(settings, now);
        let inner = Inner { machine, shown: Shown::new(), counted: HashMap::new() };
        Arc::new(Self { id, service, inner: Mutex::new(inner), transitions })
    }

    /// The service's name, or `service@route`.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The service that it stands before.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// Leave to make one call now.
    ///
    /// # Errors
    /// When the call is not to be made.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Rejected> {
        let ticket = self.with(|machine, changes| machine.admit(now, changes))?;
        Ok(Permit { breaker: self.clone(), ticket: Some(ticket) })
    }

    /// Does what time alone does; gives when that is next.
    pub fn advance(&self, now: Instant) -> Option<Instant> {
        self.with(|machine, changes| {
            machine.advance(now, changes);
            machine.deadline()
        })
    }

    /// Puts a mode in force, for a while or until somebody sets another.
    pub fn set_mode(
        &self,
        mode: Mode,
        ttl: Option<Duration>,
        reason: Option<Arc<str>>,
        now: Instant,
    ) {
        self.with(|machine, changes| machine.set_mode(mode, ttl, reason, now, changes));
        // A mode that was in force already may end at another time now.
        self.transitions.stir();
    }

    /// Begins anew: `auto`, closed, with an empty window.
    pub fn reset(&self, now: Instant) {
        self.with(|machine, changes| machine.reset(now, changes));
    }

    /// Other settings from now on; window and state stay unless the window has another shape. A
    /// mode set at run time is dropped when the file changes the breaker.
    pub fn reconfigure(&self, settings: &model::Breaker, now: Instant) {
        let dropped = self.with(|machine, changes| {
            let before = machine.mode();
            machine.reconfigure(settings, now, changes);
            (before != machine.mode()).then_some(before)
        });
        if let Some(dropped) = dropped {
            tracing::warn!(
                breaker = %self.id,
                dropped = dropped.as_str(),
                "The file changed the breaker, so the mode set at run time was dropped"
            );
        }
    }

    /// What it is now.
    pub fn state(&self) -> State {
        self.lock().machine.state()
    }

    /// Everything there is to show.
    pub fn view(&self, now: Instant) -> BreakerView {
        let mut inner = self.lock();
        let reading = self.act(&mut inner, |machine, changes| machine.read(now, changes));
        BreakerView::new(self.id.clone(), self.service.clone(), reading, &mut inner.shown, now)
    }

    /// Hands the numbers to the metrics facade; called before they are scraped.
    pub fn publish(&self) {
        let (state, totals, counted) = {
            let inner = self.lock();
            (inner.machine.state(), inner.machine.totals(), inner.counted.clone())
        };
        self.publish_state(Some(state));
        for (outcome, count) in totals.by_outcome() {
            metrics::counter!("stitch_circuit_breaker_calls_total",
                "service" => self.service.to_string(), "breaker" => self.id.to_string(),
                "outcome" => outcome)
            .absolute(count);
        }
        for ((from, to, cause), count) in counted {
            metrics::counter!("stitch_circuit_breaker_transitions_total",
                "service" => self.service.to_string(), "breaker" => self.id.to_string(),
                "from" => from.as_str(), "to" => to.as_str(), "cause" => cause.as_str())
            .absolute(count);
        }
    }

    /// One gauge per state, 1 for the one that it is in; all 0 once it is gone.
    pub(super) fn publish_state(&self, now: Option<State>) {
        for state in State::ALL {
            metrics::gauge!("stitch_circuit_breaker_state",
                "service" => self.service.to_string(), "breaker" => self.id.to_string(),
                "state" => state.as_str())
            .set(f64::from(u8::from(Some(state) == now)));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine, &mut Changes) -> T) -> T {
        self.act(&mut self.lock(), act)
    }

    fn act<T>(&self, inner: &mut Inner, act: impl FnOnce(&mut Machine, &mut Changes) -> T) -> T {
        let mut changes = Changes::new();
        let out = act(&mut inner.machine, &mut changes);
        if !changes.is_empty() {
            self.tell(inner, changes);
        }
        out
    }

    /// Under the lock, so that the log has the changes of one breaker in their order.
    #[cold]
    fn tell(&self, inner: &mut Inner, changes: Changes) {
        for change in changes {
            let Change { from, to, cause, .. } = change;
            *inner.counted.entry((from, to, cause)).or_default() += 1;
            let at = self.transitions.push(&self.id, &self.service, change);
            if from != to {
                inner.shown.since = at;
            }
        }
    }
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Breaker({}, {})", self.id, self.state().as_str())
    }
}

/// Leave to make one call. Dropped without a verdict, it is returned: the client went, or the call
/// was not made.
#[derive(Debug)]
#[must_use = "a permit that is dropped is returned at once"]
pub struct Permit {
    breaker: Arc<Breaker>,
    ticket: Option<Ticket>,
}

impl Permit {
    /// How the call ended; `took` is the time to its response headers.
    pub fn settle(mut self, verdict: Verdict, took: Duration, now: Instant) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.with(|machine, changes| {
                machine.settle(ticket, verdict, took, now, changes);
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.lock().machine.give_back(ticket);
        }
    }
}
