//! Why a set has nothing fit, for whoever is told so.

use super::condition::Fitness;
use super::set::EndpointSet;
use crate::upstream::Endpoint;
use tokio::time::Instant;

/// Endpoints that are named; a long list helps nobody.
const NAMED: usize = 4;

impl EndpointSet {
    /// What is wrong with each endpoint that is not fit, in words; empty when all are.
    pub fn why_not(&self, now: Instant) -> String {
        let all = self.all();
        let mut unfit = all.iter().filter_map(|endpoint| why(endpoint, now));
        let mut text = unfit.by_ref().take(NAMED).collect::<Vec<_>>().join("; ");
        match unfit.count() {
            0 => {}
            more => text.push_str(&format!("; and {more} more")),
        }
        text
    }
}

fn why(endpoint: &Endpoint, now: Instant) -> Option<String> {
    match endpoint.condition.fitness(now) {
        Fitness::Fit => None,
        Fitness::Unwell => {
            let error = endpoint.health().and_then(|health| health.error);
            Some(match error {
                Some(error) => format!("{endpoint} is unhealthy: {error}"),
                // Passing again, but not often enough yet.
                None => format!("{endpoint} is unhealthy, but has begun to recover"),
            })
        }
        Fitness::Ejected => Some(format!("{endpoint} was ejected after failures")),
        Fitness::Probing => Some(format!("{endpoint} was ejected and is being tried")),
    }
}
