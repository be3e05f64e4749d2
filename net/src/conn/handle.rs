//! A hold on a connection from anywhere: lets a fault, a wire-level mock or a limit end it in ways
//! that HTTP has no words for, and keeps what the connection occupies until it is really over.

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use std::any::Any;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Context;

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
}

/// What a connection occupies: a permit, a place in a worker's load, a share in the drain.
pub(crate) type Occupies = Box<dyn Any + Send + Sync>;

/// A cheap, cloneable hold on one connection.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    /// Bits of [`Order`]; lets the IO path check with one load.
    orders: AtomicU8,
    ending: Mutex<Option<Ending>>,
    waker: AtomicWaker,
    phase: AtomicU8,
    /// When the phase began, by `clock`.
    since: AtomicU64,
    /// Coarse milliseconds, advanced by whoever watches the timers: a request reads no real clock.
    clock: Arc<AtomicU64>,
    /// Freed with the last handle, so an upgraded connection counts until its tunnel ends.
    _occupies: Option<Occupies>,
}

impl Default for Handle {
    fn default() -> Self {
        Self::new(Arc::default(), None)
    }
}

impl Handle {
    pub(crate) fn new(clock: Arc<AtomicU64>, occupies: Option<Occupies>) -> Self {
        Self(Arc::new(Shared {
            orders: AtomicU8::new(0),
            ending: Mutex::new(None),
            waker: AtomicWaker::new(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(clock.load(Ordering::Relaxed)),
            clock,
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
            _ => Phase::Busy,
        }
    }

    /// Enters a phase and restarts its timer.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.since.store(self.0.clock.load(Ordering::Relaxed), Ordering::Relaxed);
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// How long the present phase has lasted, in ms of the coarse clock.
    pub(crate) fn lasted(&self) -> u64 {
        let now = self.0.clock.load(Ordering::Relaxed);
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
        let handle = Handle::new(Arc::default(), Some(Box::new(permit.clone())));
        let tunnel = handle.clone();
        drop(handle);
        assert_eq!(Arc::strong_count(&permit), 2);
        drop(tunnel);
        assert_eq!(Arc::strong_count(&permit), 1);
    }
}
