//! Who looks after a listener's connections: header and idle timers, and their drain.
//!
//! One sweep over all connections a few times a second costs less than a timer in each, and lets the
//! request path do without reading a clock.

use super::handle::{Handle, Occupies, Order, Phase, Shared};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often timers are looked at; they fire late by at most this.
const SWEEP: Duration = Duration::from_millis(100);

/// How long a connection of HTTP/2 that was told to drain may be silent between requests: for a
/// client to say that it has seen that. Most do at once.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long phases may last.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Longest time to finish a header section; then 408.
    pub header: Duration,
    /// Longest time between requests; then closed.
    pub idle: Duration,
    /// Longest time without a byte either way while a request is being answered, an upgrade or a
    /// tunnel open; then closed. A connection may be given a time of its own.
    pub stream: Duration,
}

/// The connections of one listener.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    timers: Timers,
    /// Coarse milliseconds since `started`.
    clock: AtomicU64,
    started: Instant,
    closing: AtomicBool,
    /// Held for a push, or for one sweep; dead entries are dropped by the next sweep.
    connections: Mutex<Vec<Weak<Shared>>>,
    opened: Notify,
}

impl Default for Watch {
    /// A watch that waits for ever.
    fn default() -> Self {
        Self::new(Timers { header: Duration::MAX, idle: Duration::MAX, stream: Duration::MAX })
    }
}

impl Watch {
    /// A watch; [`Watch::keep`] does the watching.
    pub fn new(timers: Timers) -> Self {
        Self(Arc::new(Inner {
            timers,
            clock: AtomicU64::new(0),
            started: Instant::now(),
            closing: AtomicBool::new(false),
            connections: Mutex::default(),
            opened: Notify::new(),
        }))
    }

    /// A handle for a new connection.
    pub fn open(&self, occupies: Option<Occupies>) -> Handle {
        self.tick();
        self.add(Handle::new(self.clone(), occupies, None))
    }

    /// A handle for something that goes on over a connection and keeps it busy.
    pub(super) fn open_within(&self, around: &Handle) -> Handle {
        let occupies = Box::new(around.occupy());
        self.tick();
        self.add(Handle::new(self.clone(), Some(occupies), Some(around.clone())))
    }

    /// A handle for one of several requests of a connection that they keep busy. The clock may be a
    /// sweep late, and so cheap enough for every request.
    pub(super) fn open_stream(&self, around: &Handle) -> Handle {
        self.add(Handle::new(self.clone(), None, Some(around.clone())))
    }

    fn add(&self, handle: Handle) -> Handle {
        let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(handle.downgrade());
        if connections.len() == 1 {
            self.0.opened.notify_one();
        }
        drop(connections);
        // Looked at behind the push, so that a drain misses none.
        if self.0.closing.load(Ordering::Acquire) {
            handle.tell(Order::Drain);
        }
        handle
    }

    /// Lets every connection, present and to come, close when its request is answered.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
        let connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().filter_map(Handle::upgrade).for_each(|handle| {
            handle.touch();
            handle.tell(Order::Drain);
        });
        self.0.opened.notify_one();
    }

    /// Watches until closed and without connections; sleeps while there is nothing to watch.
    pub async fn keep(self) {
        loop {
            if self.sweep() == 0 {
                if self.0.closing.load(Ordering::Acquire) {
                    return;
                }
                self.0.opened.notified().await;
            }
            tokio::time::sleep(SWEEP).await;
        }
    }

    /// The time when a timer was last looked at, or a connection opened, in ms.
    pub(super) fn now(&self) -> u64 {
        self.0.clock.load(Ordering::Relaxed)
    }

    fn tick(&self) {
        let now = self.0.started.elapsed().as_millis();
        self.0.clock.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Looks at every timer; returns how many connections are left.
    fn sweep(&self) -> usize {
        self.tick();
        let limit = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let timers = self.0.timers;
        let between = match self.0.closing.load(Ordering::Acquire) {
            true => timers.idle.min(FAREWELL),
            false => timers.idle,
        };
        let (header, idle, stream) =
            (limit(timers.header), limit(timers.idle), limit(timers.stream));
        let between = limit(between);
        let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| {
            let Some(handle) = Handle::upgrade(connection) else { return false };
            match handle.phase() {
                Phase::Header if handle.lasted() >= header => handle.tell(Order::HeaderTimeout),
                Phase::Idle if handle.lasted() >= idle => handle.tell(Order::IdleTimeout),
                Phase::Between if handle.lasted() >= between => handle.tell(Order::IdleTimeout),
                Phase::Busy if handle.lasted() >= handle.patience().unwrap_or(stream) => {
                    handle.tell(Order::Stalled);
                }
                _ => {}
            }
            true
        });
        connections.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        let (header, idle) = (Duration::from_secs(10), Duration::from_secs(75));
        Watch::new(Timers { header, idle, stream: Duration::from_secs(300) })
    }

    #[tokio::test(start_paused = true)]
    async fn timers_fire_by_phase() {
        let watch = watch();
        let (idle, slow, busy) = (watch.open(None), watch.open(None), watch.open(None));
        slow.enter(Phase::Header);
        busy.enter(Phase::Busy);
        let watching = tokio::spawn(watch.clone().keep());
        tokio::time::sleep(Duration::from_millis(9_900)).await;
        assert!(!slow.is_told_anything());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(slow.is_told(Order::HeaderTimeout) && !idle.is_told_anything());
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert!(idle.is_told(Order::IdleTimeout) && !busy.is_told_anything());
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_may_be_silent_for_so_long() {
        let watch = watch();
        let (usual, patient, moving) = (watch.open(None), watch.open(None), watch.open(None));
        for handle in [&usual, &patient, &moving] {
            handle.enter(Phase::Busy);
        }
        patient.wait_at_most(Duration::from_secs(3600));
        let watching = tokio::spawn(watch.clone().keep());
        tokio::time::sleep(Duration::from_secs(200)).await;
        moving.received();
        tokio::time::sleep(Duration::from_secs(101)).await;
        assert!(usual.is_told(Order::Stalled));
        assert!(!patient.is_told_anything() && !moving.is_told_anything());
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_after_both_halves_of_an_exchange() {
        let watch = watch();
        let handle = watch.open(None);
        handle.begin_half();
        handle.begin_half();
        handle.finish_half();
        handle.received();
        assert_eq!(handle.phase(), Phase::Busy, "a body comes");
        handle.finish_half();
        assert_eq!(handle.phase(), Phase::Idle);
        handle.received();
        assert_eq!(handle.phase(), Phase::Header);
    }

    #[tokio::test(start_paused = true)]
    async fn several_requests_at_once_are_idle_after_the_last() {
        let watch = watch();
        let handle = watch.open(None);
        handle.begin_one();
        handle.begin_one();
        handle.finish_one();
        assert_eq!(handle.phase(), Phase::Busy);
        handle.finish_one();
        handle.received();
        assert_eq!(handle.phase(), Phase::Between);
        let watching = tokio::spawn(watch.clone().keep());
        tokio::time::sleep(Duration::from_secs(76)).await;
        assert!(handle.is_told(Order::IdleTimeout));
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn closing_tells_those_that_are_there_and_those_that_come() {
        let watch = watch();
        let early = watch.open(None);
        watch.close();
        assert!(early.is_told(Order::Drain) && watch.open(None).is_told(Order::Drain));
    }

    #[tokio::test(start_paused = true)]
    async fn timers_run_on_until_the_last_connection_is_gone() {
        let watch = watch();
        let watching = tokio::spawn(watch.clone().keep());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let busy = watch.open(None);
        busy.enter(Phase::Busy);
        watch.close();
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert!(busy.is_told(Order::Stalled) && !watching.is_finished());
        drop(busy);
        watching.await.unwrap();

        let unused = self::watch();
        let watching = tokio::spawn(unused.clone().keep());
        tokio::time::sleep(Duration::from_secs(1)).await;
        unused.close();
        watching.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_not_waited_for_in_a_drain() {
        let watch = watch();
        let (silent, moving, busy) = (watch.open(None), watch.open(None), watch.open(None));
        silent.enter(Phase::Between);
        moving.enter(Phase::Between);
        busy.enter(Phase::Busy);
        let watching = tokio::spawn(watch.clone().keep());
        tokio::time::sleep(Duration::from_secs(20)).await;
        watch.close();
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(!silent.is_told(Order::IdleTimeout));
        moving.received();
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(silent.is_told(Order::IdleTimeout));
        assert!(!moving.is_told(Order::IdleTimeout) && !busy.is_told(Order::Stalled));
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_still_leaving_is_not_cut_by_a_drain() {
        let watch = watch();
        let leaving = watch.open(None);
        leaving.enter(Phase::Idle);
        let watching = tokio::spawn(watch.clone().keep());
        watch.close();
        // Its client takes the last bytes slowly.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            assert!(!leaving.is_told(Order::IdleTimeout));
            leaving.sent();
        }
        tokio::time::sleep(Duration::from_secs(76)).await;
        assert!(leaving.is_told(Order::IdleTimeout));
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_the_requests_that_it_was_for() {
        let watch = watch();
        let connection = watch.open(None);
        connection.begin_one();
        connection.wait_at_most(Duration::from_secs(3600));
        let stream = connection.stream();
        assert_eq!(stream.patience(), Some(3_600_000));
        connection.finish_one();
        assert_eq!(stream.patience(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_are_gone_are_forgotten() {
        let watch = watch();
        let stays = watch.open(None);
        drop(watch.open(None));
        assert_eq!(watch.sweep(), 1);
        drop(stays);
        assert_eq!(watch.sweep(), 0);
    }
}
