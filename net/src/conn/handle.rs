//! A hold on a connection from anywhere: lets a fault, a wire-level mock or a limit end it in ways
//! that HTTP has no words for.

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Read nothing more and write nothing more, but stay open until the peer goes.
    Stall,
}

/// A cheap, cloneable hold on one connection.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Set with `ending`; lets the IO path check with one relaxed load.
    ended: AtomicBool,
    ending: Mutex<Option<Ending>>,
    waker: AtomicWaker,
}

impl Handle {
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
}
