//! What became of bodies that were to be edited.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the service.
    Request,
    /// To the client.
    Response,
}

/// What became of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was changed.
    Edited,
    /// There was nothing to change in it.
    Unchanged,
    /// It is larger than `max`.
    TooLarge,
    /// It is compressed, or a part of something.
    Encoded,
    /// It says that it is JSON, and is not.
    NotJson,
    /// It broke off.
    Broken,
}

const DIRECTIONS: [&str; 2] = ["request", "response"];
const OUTCOMES: [&str; 6] = ["edited", "unchanged", "too_large", "encoded", "not_json", "broken"];

/// Counters of one service.
#[derive(Debug, Default)]
pub(crate) struct EditStats {
    counts: [[AtomicU64; OUTCOMES.len()]; DIRECTIONS.len()],
}

impl EditStats {
    pub(super) fn count(&self, direction: Direction, outcome: Outcome) {
        self.counts[direction as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number now.
    #[cfg(test)]
    pub(super) fn read(&self, direction: Direction, outcome: Outcome) -> u64 {
        self.counts[direction as usize][outcome as usize].load(Ordering::Relaxed)
    }

    /// Hands the numbers to the metrics facade; called before they are scraped.
    pub fn publish(&self, service: &str) {
        for (counts, direction) in self.counts.iter().zip(DIRECTIONS) {
            for (count, outcome) in counts.iter().zip(OUTCOMES) {
                let count = count.load(Ordering::Relaxed);
                // A series exists once it has counted something.
                if count > 0 {
                    metrics::counter!("stitch_body_edits_total", "service" => service.to_owned(),
                        "direction" => direction, "result" => outcome)
                    .absolute(count);
                }
            }
        }
    }
}
