//! A hold on a connection from anywhere: lets a fault, a wire-level mock or a limit end it in ways
//! that HTTP has no words for, and keeps what the connection occupies until it is really over.

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use tokio::time::{Duration, Instant};

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

/// A cheap, cloneable hold on one connection.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Set with `ending`; lets the IO path check with one load.
    ended: AtomicBool,
    ending: Mutex<Option<Ending>>,
    waker: AtomicWaker,
    phase: AtomicU8,
    /// When the phase began, in ms after `born`.
    since: AtomicU64,
    born: Instant,
    /// What the connection occupies: a connection permit, a place in a worker's load, a share in
    /// the drain. Freed with the last handle, so an upgraded connection counts until its tunnel ends.
    _lease: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl Default for Handle {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Handle {
    /// A handle that keeps `lease` until its last clone is dropped.
    pub fn new(lease: Option<Box<dyn std::any::Any + Send + Sync>>) -> Self {
        Self(Arc::new(Shared {
            ended: AtomicBool::new(false),
            ending: Mutex::new(None),
            waker: AtomicWaker::new(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            born: Instant::now(),
            _lease: lease,
        }))
    }

    /// Ends the connection this way. The first call wins.
    pub fn end(&self, ending: Ending) {
        let mut slot = self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(ending);
            self.0.ended.store(true, Ordering::Release);
            self.0.waker.wake();
        }
    }

    /// How it was told to end, if it was.
    pub fn ending(&self) -> Option<Ending> {
        if !self.0.ended.load(Ordering::Acquire) {
            return None;
        }
        self.0.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Registers the task to wake when [`Handle::end`] is called.
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

    /// Enters a phase and restarts its clock.
    pub(crate) fn enter(&self, phase: Phase) {
        let since = Instant::now().saturating_duration_since(self.0.born).as_millis();
        self.0.since.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// When the present phase began.
    pub(crate) fn since(&self) -> Instant {
        self.0.born + Duration::from_millis(self.0.since.load(Ordering::Relaxed))
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
    fn the_lease_lasts_as_long_as_the_last_handle() {
        let lease = Arc::new(());
        let handle = Handle::new(Some(Box::new(lease.clone())));
        let tunnel = handle.clone();
        drop(handle);
        assert_eq!(Arc::strong_count(&lease), 2);
        drop(tunnel);
        assert_eq!(Arc::strong_count(&lease), 1);
    }
}
