//! What the checks of one endpoint have found; kept by the endpoint, for whoever shows it.

use super::ask::Trouble;
use crate::policy::health::{Change, Standing, Thresholds};
use crate::shown::rfc3339;
use crate::upstream::Endpoint;
use metrics::Counter;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The health of an endpoint, as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub state: &'static str,
    /// When it was last checked; nothing before the first check.
    pub last: Option<String>,
    /// What was wrong when it last failed a check, if that was the last one.
    pub error: Option<String>,
    /// Since when it has been in this state.
    pub since: String,
    /// Checks so far.
    pub checks: u64,
    /// Of those, failed.
    pub failed: u64,
}

/// The results of an endpoint's checks.
pub(crate) struct Record {
    passed: Counter,
    failed: Counter,
    results: Mutex<Results>,
}

struct Results {
    standing: Standing,
    last: Option<SystemTime>,
    error: Option<String>,
    since: SystemTime,
    checks: u64,
    failed: u64,
}

impl Record {
    pub(super) fn new(service: &str, endpoint: &Endpoint) -> Self {
        let counter = |outcome: &'static str| {
            metrics::counter!("stitch_health_checks_total",
                "service" => service.to_string(), "endpoint" => endpoint.to_string(),
                "outcome" => outcome)
        };
        Self {
            passed: counter("passed"),
            failed: counter("failed"),
            results: Mutex::new(Results {
                standing: Standing::default(),
                last: None,
                error: None,
                since: SystemTime::now(),
                checks: 0,
                failed: 0,
            }),
        }
    }

    /// Takes in a result. Returns what changed, and whether the endpoint is well now.
    pub(super) fn hear(
        &self,
        result: Result<(), Trouble>,
        thresholds: Thresholds,
    ) -> (Option<Change>, bool) {
        let good = result.is_ok();
        if good { &self.passed } else { &self.failed }.increment(1);
        let mut results = self.results();
        let now = SystemTime::now();
        results.last = Some(now);
        results.checks += 1;
        results.failed += u64::from(!good);
        results.error = result.err().map(|trouble| trouble.why.into_owned());
        let change = results.standing.hear(good, thresholds);
        if change.is_some() {
            results.since = now;
        }
        (change, results.standing.is_well())
    }

    /// Something else is asked from now on.
    pub(super) fn ask_anew(&self) {
        self.results().standing.ask_anew();
    }

    pub(super) fn is_well(&self) -> bool {
        self.results().standing.is_well()
    }

    /// What is known now.
    pub(crate) fn read(&self) -> Health {
        let results = self.results();
        Health {
            state: if results.standing.is_well() { "healthy" } else { "unhealthy" },
            last: results.last.map(rfc3339),
            error: results.error.clone(),
            since: rfc3339(results.since),
            checks: results.checks,
            failed: results.failed,
        }
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}
