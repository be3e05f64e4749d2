//! What is counted per `type: tcp` service, and handed to the metrics facade when somebody looks.

use super::outcome::Outcome;
use super::tally::Totals;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use stitch_net::Reason;

/// Counters of one service. Relaxed atomics: readers want numbers, not order.
#[derive(Debug)]
pub struct TcpStats {
    results: [AtomicU64; Outcome::COUNT],
    open: AtomicI64,
    pub(super) totals: Arc<Totals>,
}

/// A reading of a service's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TcpReading {
    /// Connections that are over.
    pub connections: u64,
    /// Of those, that could not be made or that the service broke off.
    pub failed: u64,
    /// Connections that are open.
    pub open: i64,
    /// Bytes from clients, as far as the service took them.
    pub bytes_in: u64,
    /// Bytes to clients, as far as they took them.
    pub bytes_out: u64,
}

impl Default for TcpStats {
    fn default() -> Self {
        Self {
            results: std::array::from_fn(|_| AtomicU64::new(0)),
            open: AtomicI64::new(0),
            totals: Arc::default(),
        }
    }
}

impl TcpStats {
    pub(super) fn begin(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn finish(&self, outcome: Outcome) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.results[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers now.
    pub fn read(&self) -> TcpReading {
        let of = |outcome: Outcome| self.results[outcome.index()].load(Ordering::Relaxed);
        let is_error = |outcome: &Outcome| {
            outcome.reason().is_some_and(|reason| reason != Reason::ClientClosed)
        };
        TcpReading {
            connections: Outcome::all().map(of).sum(),
            failed: Outcome::all().filter(is_error).map(of).sum(),
            open: self.open.load(Ordering::Relaxed),
            bytes_in: self.totals.bytes_in(),
            bytes_out: self.totals.bytes_out(),
        }
    }

    /// Whether there has been no connection.
    pub(crate) fn is_unused(&self) -> bool {
        self.read() == TcpReading::default()
    }

    /// Hands the numbers to the metrics facade; called before they are scraped.
    pub(crate) fn publish(&self, service: &str) {
        for (count, outcome) in self.results.iter().zip(Outcome::all()) {
            let count = count.load(Ordering::Relaxed);
            // A series exists once it has counted something.
            if count > 0 {
                metrics::counter!("stitch_tcp_connections_total",
                    "service" => service.to_owned(), "result" => outcome.as_str())
                .absolute(count);
            }
        }
        let TcpReading { open, bytes_in, bytes_out, .. } = self.read();
        for (direction, bytes) in [("in", bytes_in), ("out", bytes_out)] {
            metrics::counter!("stitch_tcp_bytes_total",
                "service" => service.to_owned(), "direction" => direction)
            .absolute(bytes);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of open connections is small")]
        metrics::gauge!("stitch_tcp_connections_open", "service" => service.to_owned())
            .set(open as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn counts_by_outcome_and_direction() {
        let stats = TcpStats::default();
        let failed = [Reason::ConnectRefused, Reason::ClientClosed].map(Outcome::Failed);
        for outcome in failed.into_iter().chain([Outcome::Closed, Outcome::Idle]) {
            stats.begin();
            stats.finish(outcome);
        }
        stats.begin();
        let mut tally = Tally::new(stats.totals.clone());
        tally.count_in(3);
        tally.count_out(5);
        let expected = TcpReading { connections: 4, failed: 1, open: 1, bytes_in: 3, bytes_out: 5 };
        assert_eq!(stats.read(), expected);
        stats.publish("db");
    }
}
