//! The words of a breaker: modes, states, verdicts, and why a state changed.

use serde::Serialize;
use std::sync::Arc;

/// Who decides: the machine, or somebody who forced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The machine.
    Auto,
    /// Every call is refused.
    ForcedOpen,
    /// Every call passes; recording goes on.
    ForcedClosed,
    /// Every call passes; nothing is recorded.
    Disabled,
    /// Every call passes; a threshold that is met is told.
    MetricsOnly,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 5] =
        [Self::Auto, Self::ForcedOpen, Self::ForcedClosed, Self::Disabled, Self::MetricsOnly];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// The mode of that name; `isolated` is what others call `forced_open`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "isolated" { "forced_open" } else { name };
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What a breaker is now, as shown: the machine's state, or the mode that stands over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls pass, to see.
    HalfOpen,
    /// See [`Mode::ForcedOpen`].
    ForcedOpen,
    /// See [`Mode::ForcedClosed`].
    ForcedClosed,
    /// See [`Mode::Disabled`].
    Disabled,
    /// See [`Mode::MetricsOnly`].
    MetricsOnly,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// The name in the API, metrics and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => Mode::ForcedOpen.as_str(),
            Self::ForcedClosed => Mode::ForcedClosed.as_str(),
            Self::Disabled => Mode::Disabled.as_str(),
            Self::MetricsOnly => Mode::MetricsOnly.as_str(),
        }
    }
}

/// How a call ended, as far as a breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The other side is well.
    Success,
    /// It is not.
    Failure,
    /// The call says nothing about it: the client went, or it asked for what is not there.
    Ignored,
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Failures in a row.
    Consecutive,
    /// The share of failures in the window.
    FailureRate,
    /// The share of slow calls in the window.
    SlowRate,
    /// The open time is over.
    Timer,
    /// Probes decided, either way.
    Probe,
    /// Probes did not decide in time.
    HalfOpenTimeout,
    /// Somebody set a mode.
    Manual,
    /// The time of a mode is over.
    Ttl,
    /// Somebody asked to begin anew.
    Reset,
    /// The file changed.
    Config,
}

impl Cause {
    /// The name in the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::Timer => "timer",
            Self::Probe => "probe",
            Self::HalfOpenTimeout => "half_open_timeout",
            Self::Manual => "manual",
            Self::Ttl => "ttl",
            Self::Reset => "reset",
            Self::Config => "config",
        }
    }
}

/// One change of state. `from` and `to` are the same where a reset met a closed breaker, and where
/// a threshold was met in `metrics_only`.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// The share that met a threshold.
    pub rate: Option<f64>,
    /// How often it has opened since it was last closed.
    pub n: u32,
    /// What whoever forced it gave as a reason.
    pub reason: Option<Arc<str>>,
}

/// Calls since the beginning, by how they ended; one call counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Well and in time.
    pub success: u64,
    /// Failed.
    pub failure: u64,
    /// Well, but slow.
    pub slow: u64,
    /// Without a verdict.
    pub ignored: u64,
    /// Refused.
    pub not_permitted: u64,
}

impl Totals {
    /// The numbers by their names in metrics.
    pub fn by_outcome(&self) -> [(&'static str, u64); 5] {
        [
            ("success", self.success),
            ("failure", self.failure),
            ("slow", self.slow),
            ("ignored", self.ignored),
            ("not_permitted", self.not_permitted),
        ]
    }

    pub(super) fn count(&mut self, verdict: Verdict, slow: bool) {
        let count = match verdict {
            Verdict::Success if slow => &mut self.slow,
            Verdict::Success => &mut self.success,
            Verdict::Failure => &mut self.failure,
            Verdict::Ignored => &mut self.ignored,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_api() {
        for mode in Mode::ALL {
            assert_eq!(Mode::parse(mode.as_str()), Some(mode));
            assert_eq!(serde_json::json!(mode), mode.as_str());
        }
        assert_eq!(Mode::parse("isolated"), Some(Mode::ForcedOpen));
        assert_eq!(Mode::parse("open"), None);
        for state in State::ALL {
            assert_eq!(serde_json::json!(state), state.as_str());
        }
        for cause in [
            Cause::Consecutive,
            Cause::FailureRate,
            Cause::SlowRate,
            Cause::Timer,
            Cause::Probe,
            Cause::HalfOpenTimeout,
            Cause::Manual,
            Cause::Ttl,
            Cause::Reset,
            Cause::Config,
        ] {
            assert_eq!(serde_json::json!(cause), cause.as_str());
        }
    }

    #[test]
    fn one_call_counts_once() {
        let mut totals = Totals::default();
        totals.count(Verdict::Success, false);
        totals.count(Verdict::Success, true);
        totals.count(Verdict::Failure, true);
        totals.count(Verdict::Failure, false);
        totals.count(Verdict::Ignored, false);
        let counted = totals.by_outcome().map(|(_, count)| count);
        assert_eq!(counted, [1, 2, 1, 1, 0]);
    }
}
