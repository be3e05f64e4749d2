//! A request's place in a bulkhead.

use super::Bulkhead;
use std::sync::Arc;
use std::time::Duration;

/// A place for one request, given back when it is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when it is dropped"]
pub struct Place(Arc<Bulkhead>);

impl Place {
    pub(super) fn new(bulkhead: Arc<Bulkhead>) -> Self {
        Self(bulkhead)
    }

    /// Says how long the service took to answer, for an adaptive limit: nobody else asks. `failed` is
    /// an error of the service; whoever went away before the answer says nothing.
    pub fn answered(&self, took: impl FnOnce() -> Duration, failed: bool) {
        self.0.learn(took, failed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}
