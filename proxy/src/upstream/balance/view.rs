//! What the API and metrics say of an endpoint.

use super::condition::Fitness;
use super::ready::is_warming;
use super::set::Rules;
use crate::health::Health;
use crate::upstream::Endpoint;
use serde::Serialize;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::time::Instant;

/// One endpoint of a service, now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointView {
    /// Where it is: `host:port`, or `unix:/path`. The address itself if its name has several.
    pub address: String,
    /// The url in the file.
    pub url: String,
    /// Share relative to its siblings.
    pub weight: u32,
    /// Used only when no lower tier has anything fit.
    pub tier: u8,
    /// Whether it gets requests.
    pub state: EndpointState,
    /// Requests that it is answering; nobody counts those of the only endpoint of a service.
    pub in_flight: Option<usize>,
    /// Moving average of what it takes, in milliseconds; it follows peaks at once. None before the
    /// first answer.
    pub ewma_ms: Option<f64>,
    /// Failures in a row.
    pub failures: u32,
    /// When it will be tried again.
    pub ejected_until: Option<String>,
    /// What its health checks found, if it is checked.
    pub health: Option<Health>,
}

/// Whether an endpoint gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// It does.
    Ready,
    /// Health checks say that it is down.
    Unhealthy,
    /// It failed too often.
    Ejected,
    /// It has been out for long enough; one request at a time tries it.
    Probing,
    /// It does, and gets more of them step by step.
    Warming,
}

impl EndpointState {
    pub(super) const ALL: [Self; 5] =
        [Self::Ready, Self::Unhealthy, Self::Ejected, Self::Probing, Self::Warming];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Probing => "probing",
            Self::Warming => "warming",
        }
    }

    pub(super) fn of(endpoint: &Endpoint, rules: &Rules, now: Instant) -> Self {
        match endpoint.condition.fitness(now) {
            Fitness::Unwell => Self::Unhealthy,
            Fitness::Ejected => Self::Ejected,
            Fitness::Probing => Self::Probing,
            Fitness::Fit if is_warming(endpoint, rules, now) => Self::Warming,
            Fitness::Fit => Self::Ready,
        }
    }
}

impl EndpointView {
    pub(super) fn of(endpoint: &Endpoint, rules: &Rules, alone: bool, now: Instant) -> Self {
        let condition = &endpoint.condition;
        let shown = |until| {
            let mut shown = condition.shown_until.lock().unwrap_or_else(PoisonError::into_inner);
            shown.show(until, now, SystemTime::now())
        };
        let ejected = condition.ejected_until().filter(|until| *until > now);
        Self {
            address: endpoint.shown(),
            url: endpoint.url.clone(),
            weight: endpoint.weight,
            tier: endpoint.tier,
            state: EndpointState::of(endpoint, rules, now),
            in_flight: (!alone).then(|| condition.in_flight.load(Ordering::Relaxed)),
            ewma_ms: condition.latency.last().map(|micros| f64::from(micros.round()) / 1000.0),
            failures: condition.failures.load(Ordering::Relaxed),
            ejected_until: ejected.map(shown),
            health: endpoint.health(),
        }
    }
}
