//! From endpoints to the bus, without ever holding up an answer.

use super::bus::Bus;
use super::message::{MAX_HOPS, Message};
use super::stats::Totals;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Events that may be waiting to be published, delayed ones included.
const QUEUE: usize = 10_000;

/// Takes events to publish; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Every job holds one of `places`, which is what bounds the queue.
    queue: UnboundedSender<Job>,
    places: Arc<Semaphore>,
    totals: Arc<Totals>,
}

pub(super) struct Job {
    message: Message,
    due: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Publisher {
    /// A publisher and what it takes.
    pub(super) fn new(totals: Arc<Totals>) -> (Self, UnboundedReceiver<Job>) {
        let (queue, jobs) = mpsc::unbounded_channel();
        (Self { queue, places: Arc::new(Semaphore::new(QUEUE)), totals }, jobs)
    }

    /// Takes an event, to be published after a delay. Never waits: past the bound, and past the
    /// number of hops that no honest chain of events needs, events are dropped and counted.
    pub fn publish(&self, message: Message, delay: Option<Duration>) {
        if message.hops() > MAX_HOPS {
            self.totals.dropped();
            tracing::warn!(
                subject = message.subject,
                hops = message.hops(),
                "Events lead to each other in a loop, this one is dropped"
            );
            return;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.totals.dropped();
            return;
        };
        let due = delay.map(|delay| Instant::now() + delay);
        if self.queue.send(Job { message, due, _place: place }).is_err() {
            self.totals.dropped();
        }
    }
}

impl Publisher {
    /// Waits until nothing is waiting to be published. Nothing more is taken meanwhile.
    pub(super) async fn drained(&self) {
        // Never closed, so there is nothing to be told.
        let _ = self.places.acquire_many(u32::try_from(QUEUE).unwrap_or(u32::MAX)).await;
    }

    /// How many events are waiting to be published.
    pub(super) fn waiting(&self) -> usize {
        QUEUE.saturating_sub(self.places.available_permits())
    }
}

/// Publishes what is due until every publisher is gone.
pub(super) async fn dispatch(
    mut jobs: UnboundedReceiver<Job>,
    bus: Arc<dyn Bus>,
    totals: Arc<Totals>,
) {
    while let Some(job) = jobs.recv().await {
        let (bus, totals) = (bus.clone(), totals.clone());
        match job.due {
            None => send(&*bus, &totals, job),
            // At most as many tasks as there are places.
            Some(due) => {
                tokio::spawn(async move {
                    tokio::time::sleep_until(due).await;
                    send(&*bus, &totals, job);
                });
            }
        }
    }
}

fn send(bus: &dyn Bus, totals: &Totals, job: Job) {
    totals.published();
    tracing::debug!(subject = job.message.subject, bytes = job.message.payload.len(), "Event");
    // The bus counts what it drops.
    let _ = bus.publish(job.message);
}
