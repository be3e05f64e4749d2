//! The end of the process: requests in flight are finished first.

use super::reload::told;
use super::signals::{Asked, Signals};
use crate::exit::ExitCode;
use crate::report::Reporter;
use std::time::Duration;
use stitch_mockd::events::Events;
use stitch_net::Drain;

/// How long events may take to leave.
const SETTLE: Duration = Duration::from_secs(1);

/// Lets requests in flight finish, for at most `limit`. Who asks twice need not wait.
pub(super) async fn wind_down(
    reporter: Reporter,
    drain: &Drain,
    limit: Duration,
    signals: &mut Signals,
) {
    // Nobody may be reading any more; what is in flight is finished all the same.
    told(reporter.draining());
    tokio::select! {
        left = drain.drain(limit) => if left > 0 {
            tracing::warn!(left, "Connections were cut off at the end of proxy.drain");
        },
        _ = signals.stop() => {}
    }
}

/// Lets events leave that were published meanwhile.
pub(super) async fn settle_events(events: &Events) {
    let left = events.settle(SETTLE).await;
    if left > 0 {
        tracing::warn!(left, "Events that were to be published later, or not taken, are lost");
    }
}

/// How a process that was asked to stop ends.
pub(super) fn exit_code(asked: Asked) -> ExitCode {
    if asked == Asked::Interrupt { ExitCode::Interrupted } else { ExitCode::Ok }
}
