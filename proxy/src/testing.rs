//! What tests of decisions need: decisions read no clock, and neither do their tests.

use tokio::time::Instant;

/// Some moment, where invented time begins.
pub(crate) fn start() -> Instant {
    Instant::now()
}
