//! A breaker as the admin API shows it.

use crate::policy::breaker::{Mode, Reading, State, Totals};
use crate::shown::{Deadline, rfc3339};
use serde::Serialize;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::Instant;

/// One breaker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BreakerView {
    /// The service's name, or `service@route`.
    pub id: Arc<str>,
    /// The service that it stands before.
    pub service: Arc<str>,
    /// Who decides.
    pub mode: Mode,
    /// What it is: the automatic state, or the mode that stands over it.
    pub state: State,
    /// Since when.
    pub since: String,
    /// When time alone ends `open` or `half_open`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// When the mode reverts to `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverts_at: Option<String>,
    /// Why the mode was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// How often it has opened since it was last closed.
    pub n: u32,
    /// Failures in a row.
    pub consecutive: u32,
    /// The calls of the window.
    pub window: WindowView,
    /// The calls let through while half-open.
    pub probes: ProbesView,
    /// Calls since the beginning, by how they ended.
    pub calls: Totals,
}

/// The calls of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowView {
    /// With a verdict.
    pub calls: u32,
    /// Failed.
    pub failures: u32,
    /// Slow, failed or not.
    pub slow: u32,
    /// Share of failures, from 0 to 1.
    pub failure_rate: f64,
    /// Share of slow calls, from 0 to 1.
    pub slow_rate: f64,
}

/// The calls let through while half-open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbesView {
    /// Under way.
    pub in_flight: u32,
    /// Good so far.
    pub good: u32,
}

/// The times that a breaker shows.
pub(super) struct Shown {
    /// When the state was last entered.
    pub(super) since: SystemTime,
    until: Deadline,
    reverts: Deadline,
}

impl Shown {
    pub(super) fn new() -> Self {
        Self { since: SystemTime::now(), until: Deadline::default(), reverts: Deadline::default() }
    }
}

impl BreakerView {
    pub(super) fn new(
        id: Arc<str>,
        service: Arc<str>,
        reading: Reading,
        shown: &mut Shown,
        now: Instant,
    ) -> Self {
        let wall = SystemTime::now();
        Self {
            id,
            service,
            mode: reading.mode,
            state: reading.state,
            since: rfc3339(shown.since),
            until: reading.until.map(|at| shown.until.show(at, now, wall)),
            reverts_at: reading.reverts.map(|at| shown.reverts.show(at, now, wall)),
            n: reading.n,
            consecutive: reading.consecutive,
            window: WindowView {
                calls: reading.window.calls,
                failures: reading.window.failures,
                slow: reading.window.slow,
                failure_rate: reading.window.failure_rate(),
                slow_rate: reading.window.slow_rate(),
            },
            probes: ProbesView { in_flight: reading.in_flight, good: reading.good },
            calls: reading.totals,
            reason: reading.reason,
        }
    }
}
