//! `retry:` — further attempts after one that failed.

use std::time::Duration;

/// When and how often a request is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts after the first, at least 1 unless there is only a hedge.
    pub retries: u32,
    /// What is worth another attempt. Default: connect, reset, timeout, 502, 503, 504.
    pub on: RetryOn,
    /// Shortest and longest wait, doubling from one to the other; drawn between 0 and the current
    /// one (full jitter). Default 25 ms to 250 ms.
    pub backoff: (Duration, Duration),
    /// Retries in flight as a share of the requests in flight, with a floor of 3. Default 20 %.
    pub budget: f64,
    /// `unsafe`: POST and PATCH are repeated like GET.
    pub repeats_unsafe: bool,
    /// `hedge`: a second attempt while the first is still waited for; reads only.
    pub hedge: Option<Hedge>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 1,
            on: RetryOn::default(),
            backoff: (Duration::from_millis(25), Duration::from_millis(250)),
            budget: 0.2,
            repeats_unsafe: false,
            hedge: None,
        }
    }
}

/// What is worth another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection, or a stream that the other side refused unprocessed.
    pub connect: bool,
    /// A connection that ended before the response.
    pub reset: bool,
    /// `timeout.first_byte` and `timeout.per_try`.
    pub timeout: bool,
    /// These statuses; `5xx` stands for all from 500.
    pub statuses: Vec<u16>,
    /// Every status from 500.
    pub all_5xx: bool,
    /// gRPC status codes of answers without messages (Trailers-Only). By default UNAVAILABLE when
    /// `on` was not written.
    pub grpc: Vec<u8>,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            connect: true,
            reset: true,
            timeout: true,
            statuses: vec![502, 503, 504],
            all_5xx: false,
            grpc: vec![14],
        }
    }
}

impl RetryOn {
    /// Codes of gRPC by their names; the numbers are the positions.
    pub const GRPC: [&'static str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// The codes by their names.
    pub fn grpc_names(&self) -> impl Iterator<Item = &'static str> {
        self.grpc.iter().filter_map(|code| Self::GRPC.get(usize::from(*code)).copied())
    }

    /// Whether an answer with this status is worth another attempt.
    pub fn status(&self, status: u16) -> bool {
        (self.all_5xx && status >= 500) || self.statuses.contains(&status)
    }
}

/// `hedge`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// When the second attempt is made.
    pub after: HedgeAfter,
    /// How many attempts are made besides the first.
    pub max: u32,
}

/// When a hedge is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeAfter {
    /// After this long.
    Delay(Duration),
    /// `p95`: when this share of the service's recent answers would have come; from 0 to 1.
    Percentile(f64),
}
