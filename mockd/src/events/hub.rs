//! The bus, what is published to it, and who listens.

use super::bus::{Bus, Subscription};
use super::publisher::{Publisher, dispatch};
use super::react::Live;
use super::stats::{EventStats, Received, SubscriptionStats, Totals};
use crate::engine::Engine;
use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stitch_net::Flow;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Reactions of one subscription that may run at once; further messages wait in its queue.
const IN_FLIGHT: usize = 64;

/// Events of one process. Dropping it ends every subscription.
pub struct Events {
    bus: Arc<dyn Bus>,
    flow: Arc<dyn Flow>,
    publisher: Publisher,
    totals: Arc<Totals>,
    running: Mutex<HashMap<Key, Running>>,
    /// Reloads one after the other; `running` is never locked across an await.
    updating: tokio::sync::Mutex<()>,
    runtime: Handle,
    dispatcher: JoinHandle<()>,
}

/// What makes a subscription the same across reloads: its service, its subject, and which of several
/// with that subject it is.
type Key = (Arc<str>, String, usize);

struct Running {
    live: Arc<ArcSwap<Live>>,
    received: Arc<Received>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Events {
    /// Starts events over a bus; actions go through `flow`. Must be called in a runtime, which then
    /// carries all of it.
    pub fn start(bus: Arc<dyn Bus>, flow: Arc<dyn Flow>) -> Arc<Self> {
        let totals = Arc::new(Totals::default());
        let (publisher, jobs) = Publisher::new(totals.clone());
        let runtime = Handle::current();
        let dispatcher = runtime.spawn(dispatch(jobs, bus.clone(), totals.clone()));
        Arc::new(Self {
            bus,
            flow,
            publisher,
            totals,
            running: Mutex::default(),
            updating: tokio::sync::Mutex::default(),
            runtime,
            dispatcher,
        })
    }

    /// Where endpoints hand their events in; see [`Engine::publish_to`].
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// The bus.
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    /// Follows a new engine: its events go to this bus, and its subscriptions replace the old ones.
    /// Those that stay are never dropped in between. Returns when the subscriptions are held.
    pub async fn update(&self, engine: &Engine) {
        let _one_by_one = self.updating.lock().await;
        engine.publish_to(self.publisher());
        let mut wanted: Vec<(Key, Arc<Live>)> = Vec::new();
        for subscription in engine.subscriptions() {
            let same = |key: &Key| key.0 == subscription.service && key.1 == subscription.subject;
            let nth = wanted.iter().filter(|(key, _)| same(key)).count();
            let key = (subscription.service.clone(), subscription.subject.clone(), nth);
            let live = Live {
                service: subscription.service.clone(),
                subject: subscription.subject.clone(),
                compiled: subscription.compiled.clone(),
                shared: engine.shared().clone(),
            };
            wanted.push((key, Arc::new(live)));
        }
        self.running().retain(|key, _| wanted.iter().any(|(wanted, _)| wanted == key));
        for (key, live) in wanted {
            let kept = self.running().get(&key).map(|running| running.live.clone());
            match kept {
                Some(kept) => kept.store(live),
                None => self.subscribe(key, live).await,
            }
        }
        if let Err(error) = self.bus.flush().await {
            tracing::warn!(bus = self.bus.name(), %error, "Subscriptions wait for the event bus");
        }
    }

    /// The end is near: waits, for at most `limit`, until what was published has left. Returns how
    /// many events are left behind.
    pub async fn settle(&self, limit: Duration) -> usize {
        let settled = async {
            self.publisher.drained().await;
            self.bus.flush().await
        };
        match tokio::time::timeout(limit, settled).await {
            Ok(_flushed) => 0,
            Err(_elapsed) => self.publisher.waiting(),
        }
    }

    async fn subscribe(&self, key: Key, live: Arc<Live>) {
        match self.bus.subscribe(&key.1).await {
            Ok(messages) => {
                let running = self.listen(messages, live);
                self.running().insert(key, running);
            }
            Err(error) => {
                tracing::error!(service = &*key.0, %error, "A subscription failed");
            }
        }
    }

    fn listen(&self, mut messages: Subscription, live: Arc<Live>) -> Running {
        let live = Arc::new(ArcSwap::new(live));
        let received = Arc::new(Received::default());
        let (current, counts) = (live.clone(), received.clone());
        let (flow, publisher) = (self.flow.clone(), self.publisher.clone());
        let task = self.runtime.spawn(async move {
            let places = Arc::new(Semaphore::new(IN_FLIGHT));
            // The semaphore is never closed. A place is taken before a message is, so that what
            // cannot run yet stays in the bounded queue.
            while let Ok(place) = places.clone().acquire_owned().await {
                let Some(message) = messages.next().await else { break };
                let (live, counts) = (current.load_full(), counts.clone());
                let (flow, publisher) = (flow.clone(), publisher.clone());
                tokio::spawn(async move {
                    live.react(message, &counts, &*flow, &publisher).await;
                    drop(place);
                });
            }
        });
        Running { live, received, task }
    }

    /// What happened so far.
    pub fn stats(&self) -> EventStats {
        let mut subscriptions: Vec<_> = self
            .running()
            .iter()
            .map(|((service, subject, _), running)| {
                let (delivered, failed) = running.received.read();
                let (service, subject) = (service.to_string(), subject.clone());
                SubscriptionStats { service, subject, delivered, failed }
            })
            .collect();
        subscriptions.sort();
        let (published, dropped) = self.totals.read();
        EventStats {
            bus: self.bus.name().to_owned(),
            published,
            delivered: subscriptions.iter().map(|one| one.delivered).sum(),
            dropped: dropped + self.bus.dropped(),
            failed: subscriptions.iter().map(|one| one.failed).sum(),
            subscriptions,
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.dispatcher.abort();
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("bus", &self.bus.name()).finish_non_exhaustive()
    }
}
