//! What is counted per service: atomics on the request path, handed to the metrics facade when
//! somebody looks.

use metrics::{Gauge, Histogram};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use stitch_net::Reason;

/// Who answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The real service.
    Real,
    /// Its mock.
    Mock,
    /// The proxy itself.
    Stitch,
}

impl Source {
    const ALL: [Self; 3] = [Self::Real, Self::Mock, Self::Stitch];

    /// The name in headers, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Mock => "mock",
            Self::Stitch => "stitch",
        }
    }
}

const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of one service. Relaxed atomics: readers want numbers, not order.
pub struct ServiceStats {
    /// By source and status class.
    requests: [[AtomicU64; CLASSES.len()]; Source::ALL.len()],
    /// By [`Reason`]: answers that did not come from where they were meant to.
    failures: [AtomicU64; Reason::ALL.len()],
    in_flight: AtomicI64,
    service: String,
    /// Made when first used: services that are not spoken to over HTTP have none of it.
    published: OnceLock<Published>,
}

struct Published {
    in_flight: Gauge,
    duration: Histogram,
}

/// A reading of a service's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reading {
    /// Requests answered, whoever answered.
    pub requests: u64,
    /// Of those, answered by the real service.
    pub real: u64,
    /// By the mock.
    pub mock: u64,
    /// By the proxy itself (errors, redirects).
    pub stitch: u64,
    /// Statuses 500 and above.
    pub errors: u64,
    /// Being answered now.
    pub in_flight: i64,
}

impl ServiceStats {
    /// Counters under this `service` label.
    pub fn new(service: &str) -> Self {
        Self {
            requests: Default::default(),
            failures: Default::default(),
            in_flight: AtomicI64::new(0),
            service: service.to_owned(),
            published: OnceLock::new(),
        }
    }

    fn published(&self) -> &Published {
        self.published.get_or_init(|| Published {
            in_flight:
                metrics::gauge!("stitch_requests_in_flight", "service" => self.service.clone()),
            duration: metrics::histogram!("stitch_request_duration_seconds",
                "service" => self.service.clone()),
        })
    }

    /// A request has begun.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It has been answered, or given up (status 499).
    pub fn finish(&self, source: Source, status: u16, reason: Option<Reason>, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let class = match status / 100 {
            class @ 1..=5 => usize::from(class),
            _ => 0,
        };
        self.requests[source as usize][class].fetch_add(1, Ordering::Relaxed);
        if let Some(reason) = reason {
            self.failures[reason as usize].fetch_add(1, Ordering::Relaxed);
        }
        self.published().duration.record(took.as_secs_f64());
    }

    /// The numbers now.
    pub fn read(&self) -> Reading {
        let of = |source: Source| -> u64 {
            self.requests[source as usize].iter().map(|count| count.load(Ordering::Relaxed)).sum()
        };
        let (real, mock, stitch) = (of(Source::Real), of(Source::Mock), of(Source::Stitch));
        let errors = self.requests.iter().map(|row| row[5].load(Ordering::Relaxed)).sum();
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        Reading { requests: real + mock + stitch, real, mock, stitch, errors, in_flight }
    }

    /// Hands the numbers to the metrics facade; called before they are scraped.
    pub fn publish(&self) {
        for (counts, source) in self.requests.iter().zip(Source::ALL) {
            for (count, class) in counts.iter().zip(CLASSES) {
                let count = count.load(Ordering::Relaxed);
                // A series exists once it has counted something.
                if count > 0 {
                    metrics::counter!("stitch_requests_total",
                        "service" => self.service.clone(),
                        "source" => source.as_str(), "status" => class)
                    .absolute(count);
                }
            }
        }
        for (count, reason) in self.failures.iter().zip(Reason::ALL) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                metrics::counter!("stitch_failures_total",
                    "service" => self.service.clone(), "reason" => reason.as_str())
                .absolute(count);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of requests in flight is small")]
        self.published().in_flight.set(self.in_flight.load(Ordering::Relaxed) as f64);
    }
}

impl std::fmt::Debug for ServiceStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_source_and_class() {
        let stats = ServiceStats::new("users");
        for (source, status) in
            [(Source::Real, 200), (Source::Real, 503), (Source::Mock, 201), (Source::Stitch, 999)]
        {
            stats.begin();
            stats.finish(source, status, None, Duration::from_millis(1));
        }
        stats.begin();
        let expected =
            Reading { requests: 4, real: 2, mock: 1, stitch: 1, errors: 1, in_flight: 1 };
        assert_eq!(stats.read(), expected);
        stats.publish();
    }
}
