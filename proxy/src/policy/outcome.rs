//! What came of one attempt, as breakers, retries and endpoints see it.

use super::breaker::Verdict;

/// How an attempt ended at its answer's head, or without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a status of HTTP.
    Status(u16),
    /// With a status of gRPC that is not OK, be it before any message or behind the last.
    Grpc(u8),
    /// Without an answer.
    Failed(Fault),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection, or the other side said that it has not acted upon the request.
    Connect,
    /// The connection ended, or what came was not HTTP.
    Reset,
    /// `timeout.first_byte` or `timeout.per_try`.
    Timeout,
    /// The whole request ran out of time; there is none left for another attempt.
    Deadline,
    /// Not the service's: the request itself could not be sent, or may not be.
    Ours,
}

impl Outcome {
    /// The verdict. Only 500, 502, 503 and 504 tell of trouble; what is wrong with the request
    /// (4xx) tells nothing.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Status(500 | 502 | 503 | 504) => Verdict::Failure,
            Self::Status(400..=499) => Verdict::Ignored,
            Self::Status(_) => Verdict::Success,
            // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            Self::Grpc(2 | 4 | 13 | 14 | 15) => Verdict::Failure,
            Self::Grpc(0) => Verdict::Success,
            Self::Grpc(_) | Self::Failed(Fault::Ours) => Verdict::Ignored,
            Self::Failed(_) => Verdict::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_blamed_for_its_own_faults_only() {
        use Verdict::{Failure, Ignored, Success};
        for (outcome, verdict) in [
            (Outcome::Status(200), Success),
            (Outcome::Status(101), Success),
            (Outcome::Status(304), Success),
            (Outcome::Status(404), Ignored),
            (Outcome::Status(429), Ignored),
            (Outcome::Status(500), Failure),
            (Outcome::Status(501), Success),
            (Outcome::Status(502), Failure),
            (Outcome::Status(503), Failure),
            (Outcome::Status(504), Failure),
            (Outcome::Grpc(0), Success),
            (Outcome::Grpc(5), Ignored),
            (Outcome::Grpc(14), Failure),
            (Outcome::Failed(Fault::Connect), Failure),
            (Outcome::Failed(Fault::Reset), Failure),
            (Outcome::Failed(Fault::Timeout), Failure),
            (Outcome::Failed(Fault::Deadline), Failure),
            (Outcome::Failed(Fault::Ours), Ignored),
        ] {
            assert_eq!(outcome.verdict(), verdict, "{outcome:?}");
        }
    }
}
