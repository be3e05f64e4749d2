//! The end of the process: requests in flight are finished first.

use super::reload::told;
use super::signals::{Asked, Signals};
use crate::exit::ExitCode;
use crate::report::Reporter;
use std::time::Duration;
use stitch_net::Drain;

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

/// How a process that was asked to stop ends.
pub(super) fn exit_code(asked: Asked) -> ExitCode {
    if asked == Asked::Interrupt { ExitCode::Interrupted } else { ExitCode::Ok }
}
