//! `breaker:` and `eject:` — leaving alone what keeps failing.

use std::time::Duration;

/// When calls to a service, or along a route, are refused at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Opens after this many failures in a row. Default 5; `None` (written as 0): never for that.
    pub consecutive: Option<u32>,
    /// Opens at this share of failures in the window, from 0 to 1. Default 0.5; `None` (written as
    /// 0): never for that.
    pub failure_rate: Option<f64>,
    /// Length of the window, which has 10 buckets. Default 10 s.
    pub window: Duration,
    /// Calls in the window below which rates say nothing. Default 20.
    pub min_calls: u32,
    /// Opens for slow calls.
    pub slow: Option<Slow>,
    /// How long it stays open at first. Default 60 s.
    pub open: Duration,
    /// Each time that a probe fails the open time is multiplied by this, up to 300 s. Default 1.
    pub open_factor: f64,
    /// Good probes that close it, and the most that are in flight at once. Default 3.
    pub probes: u32,
    /// A half-open breaker without a verdict opens again after this. Default 30 s.
    pub half_open_timeout: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            failure_rate: Some(0.5),
            window: Duration::from_secs(10),
            min_calls: 20,
            slow: None,
            open: Duration::from_secs(60),
            open_factor: 1.0,
            probes: 3,
            half_open_timeout: Duration::from_secs(30),
        }
    }
}

/// What counts as slow, and how much of it is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slow {
    /// Response headers later than this are slow.
    pub over: Duration,
    /// Share of slow calls in the window that opens, from 0 to 1. Default 1.
    pub rate: f64,
}

/// When one endpoint gets no requests for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eject {
    /// Failures in a row. Default 5.
    pub consecutive: u32,
    /// `for`: how long. Default 30 s.
    pub lasts: Duration,
    /// Largest share of the endpoints that is out at once, from 0 to 1; only 1 lets the last one go.
    /// Default 0.5.
    pub max: f64,
}

impl Default for Eject {
    fn default() -> Self {
        Self { consecutive: 5, lasts: Duration::from_secs(30), max: 0.5 }
    }
}
