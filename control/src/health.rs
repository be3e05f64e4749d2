//! Ready or not, and why not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What the process still waits for. Alive is not ready: listeners must be bound, and services that
/// we start ourselves must answer.
#[derive(Debug, Default)]
pub struct Readiness {
    waiting: Mutex<BTreeMap<String, String>>,
}

impl Readiness {
    /// Something is not ready yet; `why` is told to whoever asks.
    pub fn wait_for(&self, what: &str, why: impl Into<String>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(what.to_owned(), why.into());
    }

    /// It is ready now.
    pub fn arrived(&self, what: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// What is not ready, and why.
    pub fn missing(&self) -> BTreeMap<String, String> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_everything_has_arrived() {
        let readiness = Readiness::default();
        readiness.wait_for("users", "starting");
        assert_eq!(readiness.missing()["users"], "starting");
        readiness.arrived("users");
        assert!(readiness.missing().is_empty());
    }
}
