//! A hold on a connection from anywhere: lets a fault, a wire-level mock or a limit end it in ways
//! that HTTP has no words for, and keeps what the connection occupies until it is really over.

use super::watch::Watch;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use std::any::Any;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// How a connection is to end, or to go on, out of the ordinary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Close with a RST (linger 0).
    Reset,
    /// Close at once; unsent bytes are dropped.
    Close,
    /// Write these bytes as they are, then close.
    Raw(Bytes),
    /// Read nothing more and write nothing more, but stay open until drain ends.
    Stall,
}

/// What a connection is doing, for its timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between requests.
    Idle,
    /// Bytes of a header section have come, but not all.
    Header,
    /// A request is being answered.
    Busy,
    /// HTTP/2 without a request in it: bytes need not be the start of one.
    Between,
}

/// What a connection is told to do; each is a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Obey the [`Ending`].
    End = 1,
    /// Close when the present request is answered.
    Drain = 2,
    /// The header section was not finished in time.
    HeaderTimeout = 4,
    /// Nothing has come for too long.
    IdleTimeout = 8,
    /// A request is being answered, and no byte has moved either way for too long.
    Stalled = 16,
    /// Nothing can be written any more.
    Gone = 32,
}

/// What a connection occupies: a permit, a place in a worker's load, a share in the drain.
pub(crate) type Occupies = Box<dyn Any + Send + Sync>;

/// A cheap, cloneable hold on one connection.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

/// Keeps a connection busy; see [`Handle::occupy`].
#[derive(Debug)]
pub struct Occupied(Handle);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.finish_one();
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    /// Bits of [`Order`]; lets the IO path check with one load.
    orders: AtomicU8,
    ending: Mutex<Option<Ending>>,
    waker: AtomicWaker,
    phase: AtomicU8,
    /// What keeps it busy: requests of HTTP/2, which answers several at once, and what is not HTTP
    /// any more.
    busy: AtomicU32,
    /// What goes on of requests of HTTP/1: their answers, and bodies that somebody still reads.
    halves: AtomicU32,
    /// When the phase began, or when a byte last moved in [`Phase::Busy`], by `clock`.
    since: AtomicU64,
    /// How long [`Phase::Busy`] may last without a byte, in ms; 0 stands for the listener's own.
    patience: AtomicU64,
    /// Who looks after the timers, and tells the time: a request reads no real clock.
    watch: Watch,
    /// What this goes on over, if it is one of several things on a connection.
    around: Option<Handle>,
    /// Freed with the last handle, so an upgraded connection counts until its tunnel ends.
    _occupies: Option<Occupies>,
}

impl Default for Handle {
    /// A handle whose timers nobody looks after.
    fn default() -> Self {
        Self::new(Watch::default(), None, None)
    }
}

impl Handle {
    pub(super) fn new(watch: Watch, occupies: Option<Occupies>, around: Option<Self>) -> Self {
        Self(Arc::new(Shared {
            orders: AtomicU8::new(0),
            ending: Mutex::new(None),
            waker: AtomicWaker::new(),
            phase: AtomicU8::new(Phase::Idle as u8),
            busy: AtomicU32::new(0),
            halves: AtomicU32::new(0),
            patience: AtomicU64::new(0),
            since: AtomicU64::new(watch.now()),
            watch,
            around,
            _occupies: occupies,
        }))
    }

    /// Ends the connection this way. The first call wins.
    pub fn end(&self, ending: Ending) {
        let mut slot = self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(ending);
            drop(slot);
            self.tell(Order::End);
        }
    }

    /// How it was told to end, if it was.
    pub fn ending(&self) -> Option<Ending> {
        if !self.is_told(Order::End) {
            return None;
        }
        self.0.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn upgrade(shared: &Weak<Shared>) -> Option<Self> {
        shared.upgrade().map(Self)
    }

    /// Gives an order and wakes the connection's task.
    pub(crate) fn tell(&self, order: Order) {
        if self.0.orders.fetch_or(order as u8, Ordering::AcqRel) & order as u8 == 0 {
            self.0.waker.wake();
        }
    }

    pub(crate) fn is_told(&self, order: Order) -> bool {
        self.0.orders.load(Ordering::Acquire) & order as u8 != 0
    }

    pub(crate) fn is_told_anything(&self) -> bool {
        self.0.orders.load(Ordering::Acquire) != 0
    }

    /// Takes an order back; whether it had been given.
    pub(crate) fn untell(&self, order: Order) -> bool {
        self.0.orders.fetch_and(!(order as u8), Ordering::AcqRel) & order as u8 != 0
    }

    /// Registers the task to wake when an order is given.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.0.waker.register(cx.waker());
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Header,
            2 => Phase::Busy,
            _ => Phase::Between,
        }
    }

    /// Enters a phase and restarts its timer.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.since.store(self.0.watch.now(), Ordering::Relaxed);
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// HTTP/1: an answer, or a request's body, goes on.
    pub(super) fn begin_half(&self) {
        self.0.halves.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
    }

    /// HTTP/1: it is over. The connection is idle when nothing of the other goes on either: what comes
    /// of a body whose answer is over is no header.
    pub(super) fn finish_half(&self) {
        if self.0.halves.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.enter(Phase::Idle);
        }
    }

    /// One more request is being answered on a connection that answers several at once.
    pub(crate) fn begin_one(&self) {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
    }

    /// One of several requests has been answered.
    pub(crate) fn finish_one(&self) {
        if self.0.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Whose patience it was is over with.
            self.0.patience.store(0, Ordering::Relaxed);
            self.enter(Phase::Between);
        }
    }

    /// Bytes have come.
    pub(crate) fn received(&self) {
        match self.phase() {
            Phase::Idle => self.enter(Phase::Header),
            Phase::Busy => self.touch(),
            Phase::Between if self.is_told(Order::Drain) => self.touch(),
            Phase::Header | Phase::Between => {}
        }
    }

    /// Bytes have left.
    pub(crate) fn sent(&self) {
        match self.phase() {
            // The end of an answer leaves when the request counts as answered already.
            Phase::Busy | Phase::Idle => self.touch(),
            Phase::Between if self.is_told(Order::Drain) => self.touch(),
            Phase::Header | Phase::Between => {}
        }
    }

    /// Restarts the present phase's timer.
    pub fn touch(&self) {
        self.0.since.store(self.0.watch.now(), Ordering::Relaxed);
    }

    /// Keeps the connection busy, as a request does, until the guard is dropped: for what goes on
    /// over it after an upgrade.
    pub fn occupy(&self) -> Occupied {
        self.begin_one();
        Occupied(self.clone())
    }

    /// Whether anything but requests of HTTP/1 goes on over the connection.
    pub(crate) fn is_occupied(&self) -> bool {
        self.0.busy.load(Ordering::Relaxed) > 0
    }

    /// A handle for one of several things that go on over this connection: with timers of its own,
    /// which [`super::Watched`] keeps going, and an end of its own. Keeps the connection counted.
    #[must_use]
    pub fn within(&self) -> Self {
        self.0.watch.open_within(self)
    }

    /// The same for a request and its answer, which keep the connection busy by themselves.
    pub(super) fn stream(&self) -> Self {
        self.0.watch.open_stream(self)
    }

    /// Resolves when whatever goes on over the connection has to end: no byte has moved for too
    /// long, or the connection was told to end.
    pub async fn cut(&self) {
        poll_fn(|cx| {
            self.register(cx);
            let over = self.is_told(Order::End) || self.is_told(Order::Stalled);
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Resolves when a connection that has not begun a request has to end: a timer ran out, or it
    /// was told to.
    pub async fn interrupted(&self) {
        poll_fn(|cx| {
            self.register(cx);
            let over = [Order::End, Order::HeaderTimeout, Order::IdleTimeout];
            let over = over.into_iter().any(|order| self.is_told(order));
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sets how long this connection may go without a byte while a request is being answered.
    pub fn wait_at_most(&self, limit: Duration) {
        if let Some(around) = &self.0.around {
            around.wait_at_most(limit);
        }
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        if self.0.busy.load(Ordering::Relaxed) > 0 {
            // The most patient of several requests decides.
            self.0.patience.fetch_max(limit, Ordering::Relaxed);
        } else {
            self.0.patience.store(limit, Ordering::Relaxed);
        }
    }

    /// What [`Handle::wait_at_most`] was told, in ms; else what the connection around it was.
    pub(super) fn patience(&self) -> Option<u64> {
        let own = Some(self.0.patience.load(Ordering::Relaxed)).filter(|limit| *limit > 0);
        own.or_else(|| self.0.around.as_ref()?.patience())
    }

    /// How long the present phase has lasted, in ms of the coarse clock.
    pub(crate) fn lasted(&self) -> u64 {
        let now = self.0.watch.now();
        now.saturating_sub(self.0.since.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ending_wins() {
        let handle = Handle::default();
        assert_eq!(handle.ending(), None);
        handle.clone().end(Ending::Reset);
        handle.end(Ending::Close);
        assert_eq!(handle.ending(), Some(Ending::Reset));
    }

    #[test]
    fn orders_are_given_and_taken_back() {
        let handle = Handle::default();
        handle.tell(Order::IdleTimeout);
        assert!(handle.is_told_anything() && handle.is_told(Order::IdleTimeout));
        assert!(handle.untell(Order::IdleTimeout));
        assert!(!handle.untell(Order::IdleTimeout) && !handle.is_told_anything());
    }

    #[test]
    fn what_it_occupies_is_free_when_the_last_handle_goes() {
        let permit = Arc::new(());
        let handle = Handle::new(Watch::default(), Some(Box::new(permit.clone())), None);
        let tunnel = handle.clone();
        drop(handle);
        assert_eq!(Arc::strong_count(&permit), 2);
        drop(tunnel);
        assert_eq!(Arc::strong_count(&permit), 1);
    }
}
