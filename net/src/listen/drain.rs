//! Stopping without dropping: new work is refused, work in flight is waited for.

use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Shared by everything that stops together. Clones are the same drain.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    begun: CancellationToken,
    work: TaskTracker,
}

impl Drain {
    /// A token that is cancelled when draining begins.
    pub fn begun(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// A share in the work that is waited for; ends when dropped.
    pub fn share(&self) -> TaskTrackerToken {
        self.work.token()
    }

    /// Begins draining and waits until no work is left, at most `limit`. Returns how many shares
    /// were still out.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.begun.cancel();
        self.work.close();
        let _ = tokio::time::timeout(limit, self.work.wait()).await;
        self.work.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_work_but_not_forever() {
        let drain = Drain::default();
        let share = drain.share();
        assert_eq!(drain.drain(Duration::from_secs(1)).await, 1);
        assert!(drain.begun().is_cancelled());
        drop(share);
        assert_eq!(drain.drain(Duration::from_secs(1)).await, 0);
    }
}
