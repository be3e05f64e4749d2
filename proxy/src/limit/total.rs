//! A total for people and for the metrics, counted by any number of threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts upwards, and knows how much of it the metrics have been told. What was replaced may be told
/// to the end this way, and what comes after it begins where it stopped.
#[derive(Debug, Default)]
pub(super) struct Total {
    count: AtomicU64,
    told: AtomicU64,
}

impl Total {
    pub(super) fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What was counted since the last call.
    pub(super) fn news(&self) -> u64 {
        let count = self.get();
        // Two scrapes at once tell each thing once.
        count.saturating_sub(self.told.fetch_max(count, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_told_once() {
        let total = Total::default();
        total.add();
        total.add();
        assert_eq!((total.news(), total.news(), total.get()), (2, 0, 2));
        total.add();
        assert_eq!((total.news(), total.get()), (1, 3));
    }
}
