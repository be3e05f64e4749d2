//! What a bulkhead counts, under one small lock: exact, whoever comes and goes at the same time.

use super::place::Place;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// Who is in, who waits, and the bounds of both.
#[derive(Debug)]
pub(super) struct State {
    pub(super) bounds: Bounds,
    pub(super) in_flight: u32,
    /// By ticket, so the first is the one that came first.
    waiting: BTreeMap<u64, oneshot::Sender<Place>>,
    next_ticket: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) limit: u32,
    pub(super) queue: u32,
    pub(super) wait: Duration,
}

impl State {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, in_flight: 0, waiting: BTreeMap::new(), next_ticket: 0 }
    }

    pub(super) fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// Counts one more in, unless it would be one too many or others were first.
    pub(super) fn try_enter(&mut self) -> bool {
        let free = self.in_flight < self.bounds.limit && self.waiting.is_empty();
        if free {
            self.in_flight += 1;
        }
        free
    }

    /// A ticket of the queue, unless that is full.
    pub(super) fn queue(&mut self) -> Option<(u64, oneshot::Receiver<Place>)> {
        if self.waiting.len() >= usize::try_from(self.bounds.queue).unwrap_or(usize::MAX) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, sender);
        Some((ticket, receiver))
    }

    /// Whoever waits with this ticket does not any more.
    pub(super) fn forget(&mut self, ticket: u64) {
        self.waiting.remove(&ticket);
    }

    /// Counts the first of those that wait in, if there is room.
    pub(super) fn admit(&mut self) -> Option<oneshot::Sender<Place>> {
        if self.in_flight >= self.bounds.limit {
            return None;
        }
        let (_, first) = self.waiting.pop_first()?;
        self.in_flight += 1;
        Some(first)
    }
}
