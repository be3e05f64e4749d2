//! Whether a connection is still one. A router that forgets a flow tells nobody: what is sent is lost,
//! and the system tries again for a quarter of an hour.
//!
//! A connection is doubted when an exchange on it was given up and nothing at all has been heard since
//! that began. Until something is heard it gets no new exchanges; one PING asks whether it lives.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Health {
    /// How often something was read.
    heard: AtomicUsize,
    /// The same at the time of the last doubt.
    doubted: AtomicUsize,
    ask: Notify,
}

impl Default for Health {
    fn default() -> Self {
        let (heard, doubted) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { heard, doubted, ask: Notify::new() }
    }
}

impl Health {
    /// Something was heard.
    pub fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was heard.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// An exchange was given up for which something was last heard then.
    pub fn doubt(&self, then: usize) {
        if then == self.heard() && self.doubted.swap(then, Ordering::Relaxed) != then {
            self.ask.notify_one();
        }
    }

    /// Whether nothing has been heard since the last doubt.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed) == self.heard()
    }

    /// Asks whenever there is a doubt; one question at a time.
    pub async fn ask(&self, questions: Option<h2::PingPong>) {
        let Some(mut questions) = questions else { return pending().await };
        loop {
            self.ask.notified().await;
            if questions.ping(h2::Ping::opaque()).await.is_err() {
                // The connection is over, which others tell.
                return pending().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_lasts_until_something_is_heard() {
        let health = Health::default();
        assert!(!health.is_doubted());
        health.doubt(0);
        assert!(health.is_doubted());
        health.hear();
        assert!(!health.is_doubted());
        // Something has been heard since that exchange began.
        health.doubt(0);
        assert!(!health.is_doubted());
        health.doubt(1);
        assert!(health.is_doubted());
    }
}
