//! How a connection to a `type: tcp` service ended, for the log and for counters.

use super::join::Joined;
use std::fmt;
use stitch_net::Reason;

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Both sides had nothing more to say.
    Closed,
    /// No byte moved for `timeout.idle`.
    Idle,
    /// It was ended from here: stitch stopped, or was told to end it.
    Ended,
    /// It could not be made, or broke.
    Failed(Reason),
}

impl Outcome {
    /// How many there are.
    pub(super) const COUNT: usize = 3 + Reason::ALL.len();

    /// Every outcome in the order of [`Outcome::index`].
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let failed = Reason::ALL.iter().map(|reason| Self::Failed(*reason));
        [Self::Closed, Self::Idle, Self::Ended].into_iter().chain(failed)
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Idle => 1,
            Self::Ended => 2,
            Self::Failed(reason) => 3 + reason as usize,
        }
    }

    /// The name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "timeout_idle",
            Self::Ended => "ended",
            Self::Failed(reason) => reason.as_str(),
        }
    }

    /// What went wrong, if something did.
    pub(crate) fn reason(self) -> Option<Reason> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Closed | Self::Idle | Self::Ended => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&Joined> for Outcome {
    fn from(joined: &Joined) -> Self {
        match joined {
            Joined::Closed => Self::Closed,
            Joined::Client(_) => Self::Failed(Reason::ClientClosed),
            Joined::Upstream(_) => Self::Failed(Reason::UpstreamReset),
            Joined::Idle => Self::Idle,
            Joined::Told => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_place() {
        let all: Vec<_> = Outcome::all().collect();
        assert_eq!(all.len(), Outcome::COUNT);
        assert!(all.iter().enumerate().all(|(at, outcome)| outcome.index() == at));
        assert_eq!(Outcome::Failed(Reason::ConnectRefused).to_string(), "connect_refused");
    }
}
