//! Coming in, waiting, being turned away; and the limit that is changed meanwhile.

use super::place::Place;
use super::state::{Bounds, State};
use crate::limit::total::Total;
use crate::policy::{Adaptive, Answer, Gradient};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stitch_config::model::Concurrency;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Lets no more than so many requests in at once.
#[derive(Debug)]
pub struct Bulkhead {
    state: Mutex<State>,
    /// What finds the limit, where it is adaptive.
    gradient: Mutex<Option<Gradient>>,
    began: Instant,
    pub(super) rejected: Total,
}

/// There was no place, nor one to wait at, or the wait was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded {
    /// Requests in flight.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Requests that wait.
    pub queued: usize,
    /// How long this one waited; `None` if it could not even do that.
    pub waited: Option<Duration>,
}

impl std::fmt::Display for Overloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} places are taken", self.in_flight, self.limit)?;
        match self.waited {
            Some(waited) => write!(f, "; no place was free within {waited:?}"),
            None if self.queued > 0 => write!(f, "; {} requests wait already", self.queued),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Overloaded {}

impl Bulkhead {
    /// The bulkhead of these settings. One that was at work before is changed in place: requests in
    /// flight and waiting stay where they are, and an adaptive limit goes on from what it has found.
    /// A limit that fell takes effect as places are given back.
    pub fn keep(settings: &Concurrency, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let Some(previous) = previous else {
            let gradient = adaptive(settings).map(Gradient::new);
            let bounds = bounds(settings, gradient.as_ref());
            return Arc::new(Self {
                state: Mutex::new(State::new(bounds)),
                gradient: Mutex::new(gradient),
                began: Instant::now(),
                rejected: Total::default(),
            });
        };
        let bounds = {
            let mut gradient = previous.gradient();
            match (adaptive(settings), &mut *gradient) {
                (None, gradient) => *gradient = None,
                (Some(new), Some(gradient)) if gradient.bounds() == new => {}
                (Some(new), Some(gradient)) => gradient.configure(new),
                (Some(new), gradient) => *gradient = Some(Gradient::new(new)),
            }
            bounds(settings, gradient.as_ref())
        };
        let first = {
            let mut state = previous.state();
            state.bounds = bounds;
            state.admit()
        };
        previous.let_in(first);
        previous.clone()
    }

    /// A place, if one is free and nobody waits for it. That there was none is not counted.
    pub fn try_enter(self: &Arc<Self>) -> Option<Place> {
        self.state().try_enter().then(|| Place::new(self.clone()))
    }

    /// A place, waited for in the order of arrival. Whoever drops this does not wait any more, and a
    /// place that was on its way goes to the next.
    ///
    /// # Errors
    ///
    /// The queue is full, or the wait was too long.
    pub async fn enter(self: &Arc<Self>) -> Result<Place, Overloaded> {
        let (mut queued, wait) = {
            let mut state = self.state();
            if state.try_enter() {
                drop(state);
                return Ok(Place::new(self.clone()));
            }
            let Some((ticket, place)) = state.queue() else {
                return Err(self.reject(&state, None));
            };
            (Queued { bulkhead: self, ticket, place }, state.bounds.wait)
        };
        let waited = tokio::time::timeout(wait, &mut queued.place).await;
        if let Ok(Ok(place)) = waited {
            return Ok(place);
        }
        // The last moment: a place may have come since, and after this none can.
        self.state().forget(queued.ticket);
        queued.place.try_recv().map_err(|_| self.reject(&self.state(), Some(wait)))
    }

    pub(super) fn leave(self: &Arc<Self>) {
        let first = {
            let mut state = self.state();
            state.in_flight -= 1;
            state.admit()
        };
        self.let_in(first);
    }

    /// Gives a place to the one that has been counted in, and to whoever else has room.
    fn let_in(self: &Arc<Self>, mut first: Option<oneshot::Sender<Place>>) {
        while let Some(waiting) = first {
            // The lock is not held while somebody is woken. One that has just given up gives its
            // place back by dropping it.
            drop(waiting.send(Place::new(self.clone())));
            first = self.state().admit();
        }
    }

    /// Takes an answer into account where the limit is adaptive.
    pub(super) fn learn(self: &Arc<Self>, took: impl FnOnce() -> Duration, failed: bool) {
        // Samples may be missed and waiting for the lock would cost more than they are worth.
        let Ok(mut gradient) = self.gradient.try_lock() else { return };
        let Some(gradient) = gradient.as_mut() else { return };
        let in_flight = self.state().in_flight;
        let took = took();
        gradient.answered(self.began.elapsed(), Answer { took, failed, in_flight });
        let limit = gradient.limit();
        self.state().bounds.limit = limit;
    }

    fn reject(&self, state: &State, waited: Option<Duration>) -> Overloaded {
        self.rejected.add();
        Overloaded {
            in_flight: state.in_flight,
            limit: state.bounds.limit,
            queued: state.queued(),
            waited,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locked before the state where both are needed.
    pub(super) fn gradient(&self) -> MutexGuard<'_, Option<Gradient>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits; its place in the queue is free when it is dropped.
struct Queued<'a> {
    bulkhead: &'a Bulkhead,
    ticket: u64,
    place: oneshot::Receiver<Place>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.bulkhead.state().forget(self.ticket);
    }
}

fn adaptive(settings: &Concurrency) -> Option<Adaptive> {
    match *settings {
        Concurrency::Fixed { .. } => None,
        Concurrency::Adaptive { min, max, tolerance } => Some(Adaptive { min, max, tolerance }),
    }
}

fn bounds(settings: &Concurrency, gradient: Option<&Gradient>) -> Bounds {
    match *settings {
        Concurrency::Fixed { max, queue, wait } => Bounds { limit: max, queue, wait },
        // Whoever waited would take part in what the limit is found from.
        Concurrency::Adaptive { max, .. } => {
            Bounds { limit: gradient.map_or(max, Gradient::limit), queue: 0, wait: Duration::ZERO }
        }
    }
}
