//! What breakers did, in the process's log: a line for each time that one opens or closes.
//!
//! A breaker that nobody calls goes from open to half-open and back by its timers; that is no news.

use super::transitions::{Followed, Follower, Transition};
use crate::policy::breaker::{Cause, State};

/// Writes to the log what breakers do, until the process ends.
pub async fn log_breakers(mut follower: Follower) {
    while let Some(followed) = follower.next().await {
        let Followed::Transition(transition) = followed else { continue };
        let Some(line) = line(&transition) else { continue };
        match transition.to {
            State::Open | State::ForcedOpen => tracing::warn!("{line}"),
            _ => tracing::info!("{line}"),
        }
    }
}

/// What happened, in words; `None` for what only time did.
fn line(transition: &Transition) -> Option<String> {
    let Transition { id, from, to, cause, rate, reason, .. } = transition;
    let percent = rate.unwrap_or_default() * 100.0;
    let why = match cause {
        Cause::Timer | Cause::HalfOpenTimeout => return None,
        Cause::Consecutive => "too many failures in a row".to_owned(),
        Cause::FailureRate => format!("{percent:.0} % of the calls failed"),
        Cause::SlowRate => format!("{percent:.0} % of the calls were slow"),
        Cause::Probe if *to == State::Open => "a probe failed".to_owned(),
        Cause::Probe => "its probes were good".to_owned(),
        Cause::Manual => match reason {
            Some(reason) => format!("told so by the admin API, {reason:?}"),
            None => "told so by the admin API".to_owned(),
        },
        Cause::Ttl => "the time of its mode is over".to_owned(),
        Cause::Reset => "reset by the admin API".to_owned(),
        Cause::Config => "the file changed it".to_owned(),
    };
    let state = to.as_str();
    Some(match (from, to) {
        (State::MetricsOnly, State::MetricsOnly) => {
            format!("the breaker {id} would be open: {why}")
        }
        _ => format!("the breaker {id} is {state}: {why}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn told(from: State, to: State, cause: Cause, rate: Option<f64>) -> Option<String> {
        line(&Transition {
            seq: 1,
            at: SystemTime::UNIX_EPOCH,
            id: "users".into(),
            service: "users".into(),
            from,
            to,
            cause,
            rate,
            n: 1,
            reason: (cause == Cause::Manual).then(|| "drill".into()),
        })
    }

    #[test]
    fn what_calls_and_people_did_is_told_and_what_time_did_is_not() {
        use State::{Closed, ForcedOpen, HalfOpen, MetricsOnly, Open};
        for (from, to, cause, rate, expected) in [
            (Closed, Open, Cause::Consecutive, None, "is open: too many failures in a row"),
            (Closed, Open, Cause::FailureRate, Some(0.55), "is open: 55 % of the calls failed"),
            (Closed, Open, Cause::SlowRate, Some(1.0), "is open: 100 % of the calls were slow"),
            (HalfOpen, Open, Cause::Probe, None, "is open: a probe failed"),
            (HalfOpen, Closed, Cause::Probe, None, "is closed: its probes were good"),
            (
                Closed,
                ForcedOpen,
                Cause::Manual,
                None,
                "is forced_open: told so by the admin API, \"drill\"",
            ),
            (ForcedOpen, Closed, Cause::Ttl, None, "is closed: the time of its mode is over"),
            (
                MetricsOnly,
                MetricsOnly,
                Cause::FailureRate,
                Some(0.5),
                "would be open: 50 % of the calls failed",
            ),
        ] {
            let expected = format!("the breaker users {expected}");
            assert_eq!(told(from, to, cause, rate), Some(expected));
        }
        assert_eq!(told(Open, HalfOpen, Cause::Timer, None), None);
        assert_eq!(told(HalfOpen, Open, Cause::HalfOpenTimeout, None), None);
    }
}
