//! `rate_limit:` and `concurrency:` — how much is let through.

use http::HeaderName;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// Names the limit: where it is written and its number there, such as `payments#1` or
    /// `route /api/**#1`. Limits with the same id share their buckets, so one in `defaults` is
    /// shared by all services.
    pub id: Arc<str>,
    /// How many requests in which time.
    pub rate: Rate,
    /// Requests that may come at once, at least 1. Default: the rate's count.
    pub burst: u32,
    /// `by`: whose requests are counted together; `None` counts all.
    pub by: Option<LimitKey>,
    /// Different keys that are remembered; beyond them the fullest buckets are forgotten. Default
    /// 100 000.
    pub keys: usize,
}

/// `100/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests, at least 1.
    pub count: u32,
    /// In this time: a second, a minute, an hour or a day.
    pub per: Duration,
}

impl Rate {
    /// The units of time that a rate may be written with.
    pub const UNITS: [(&'static str, Duration); 4] = [
        ("s", Duration::from_secs(1)),
        ("m", Duration::from_secs(60)),
        ("h", Duration::from_secs(3600)),
        ("d", Duration::from_secs(24 * 3600)),
    ];
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::UNITS.iter().find(|(_, per)| *per == self.per) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/{}s", self.count, self.per.as_secs_f64()),
        }
    }
}

/// Whose requests a limit counts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// `client_ip`.
    ClientIp,
    /// `header:NAME`; requests without it share one bucket.
    Header(HeaderName),
    /// `caller`: the service that calls, as far as it is known.
    Caller,
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Caller => f.write_str("caller"),
        }
    }
}

/// `concurrency`.
#[derive(Clone, Debug, PartialEq)]
pub enum Concurrency {
    /// A fixed bulkhead.
    Fixed {
        /// In flight at once, at least 1.
        max: u32,
        /// How many more wait for a place. Default 0.
        queue: u32,
        /// How long they wait at most. Default 1 s.
        wait: Duration,
    },
    /// `adaptive`: the limit follows latency.
    Adaptive {
        /// Least limit. Default 3.
        min: u32,
        /// Largest limit. Default 1000.
        max: u32,
        /// How far latency may rise above its minimum before the limit falls, as a factor. Default 2.
        tolerance: f64,
    },
}
