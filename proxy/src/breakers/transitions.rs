//! What breakers did, newest last: a bounded log, and those who follow it.
//!
//! Followers read from the log, so nobody has a queue of their own that could grow. Who falls
//! behind by more than the log holds is told how much was missed.

use crate::policy::breaker::{Cause, Change, State};
use crate::shown::rfc3339;
use serde::{Serialize, Serializer};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{Notify, watch};

/// Transitions that are remembered.
const REMEMBERED: usize = 1000;

/// One transition of one breaker.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// Its number in this process, from 1 without gaps.
    pub seq: u64,
    /// When.
    #[serde(serialize_with = "shown")]
    pub at: SystemTime,
    /// Which breaker.
    pub id: Arc<str>,
    /// The service that it stands before.
    pub service: Arc<str>,
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// The share that met a threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// How often it has opened since it was last closed.
    pub n: u32,
    /// What whoever forced it gave as a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
}

/// The log, and the way to hear of more.
#[derive(Debug)]
pub struct Transitions {
    log: Mutex<VecDeque<Arc<Transition>>>,
    tip: watch::Sender<Tip>,
    /// Deadlines may have changed.
    stirred: Notify,
}

/// What followers wait on.
#[derive(Clone, Copy, Debug, Default)]
struct Tip {
    newest: u64,
    closed: bool,
}

impl Default for Transitions {
    fn default() -> Self {
        Self { log: Mutex::default(), tip: watch::Sender::default(), stirred: Notify::new() }
    }
}

impl Transitions {
    /// Logs a change; gives its time.
    pub(super) fn push(&self, id: &Arc<str>, service: &Arc<str>, change: Change) -> SystemTime {
        let Change { from, to, cause, rate, n, reason } = change;
        let at = SystemTime::now();
        let mut log = self.log();
        if log.len() == REMEMBERED {
            log.pop_front();
        }
        let seq = self.tip.borrow().newest + 1;
        let (id, service) = (id.clone(), service.clone());
        log.push_back(Arc::new(Transition {
            seq,
            at,
            id,
            service,
            from,
            to,
            cause,
            rate,
            n,
            reason,
        }));
        self.tip.send_modify(|tip| tip.newest = seq);
        self.stirred.notify_one();
        at
    }

    /// Whoever waits for a deadline looks again.
    pub(super) fn stir(&self) {
        self.stirred.notify_one();
    }

    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// What is remembered, oldest first.
    pub fn recent(&self) -> Vec<Arc<Transition>> {
        self.log().iter().cloned().collect()
    }

    /// Follows from behind the transition with this number, or from now on. A number that was not
    /// given out yet is from another process: everything that is remembered follows.
    pub fn follow(self: &Arc<Self>, after: Option<u64>) -> Follower {
        let tip = self.tip.subscribe();
        let newest = tip.borrow().newest;
        let seen = after.map_or(newest, |after| if after > newest { 0 } else { after });
        Follower { transitions: self.clone(), tip, seen }
    }

    /// Nobody need follow any more: the process ends.
    pub fn close(&self) {
        self.tip.send_modify(|tip| tip.closed = true);
    }

    fn log(&self) -> MutexGuard<'_, VecDeque<Arc<Transition>>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes behind a number.
    fn behind(&self, seen: u64) -> Option<Followed> {
        let log = self.log();
        let oldest = log.front()?.seq;
        match seen.checked_sub(oldest - 1) {
            None => Some(Followed::Missed(oldest - 1 - seen)),
            Some(at) => log.get(usize::try_from(at).ok()?).cloned().map(Followed::Transition),
        }
    }
}

/// Somebody who follows the log.
#[derive(Debug)]
pub struct Follower {
    transitions: Arc<Transitions>,
    tip: watch::Receiver<Tip>,
    seen: u64,
}

/// What a follower gets.
#[derive(Clone, Debug)]
pub enum Followed {
    /// A transition.
    Transition(Arc<Transition>),
    /// This many were forgotten before they were read.
    Missed(u64),
}

impl Follower {
    /// The next one, when there is one. `None` when the process ends.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            if self.tip.borrow_and_update().closed {
                return None;
            }
            if let Some(followed) = self.transitions.behind(self.seen) {
                self.seen += match &followed {
                    Followed::Transition(_) => 1,
                    Followed::Missed(count) => *count,
                };
                return Some(followed);
            }
            self.tip.changed().await.ok()?;
        }
    }
}

fn shown<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn push(transitions: &Transitions) {
        let change = Change {
            from: State::Closed,
            to: State::Open,
            cause: Cause::FailureRate,
            rate: Some(0.5),
            n: 1,
            reason: None,
        };
        transitions.push(&"a@b".into(), &"a".into(), change);
    }

    async fn next(follower: &mut Follower) -> Result<u64, u64> {
        match follower.next().await.unwrap() {
            Followed::Transition(transition) => Ok(transition.seq),
            Followed::Missed(count) => Err(count),
        }
    }

    #[tokio::test]
    async fn followers_get_what_comes_and_what_they_ask_for() {
        let transitions = Arc::new(Transitions::default());
        push(&transitions);
        push(&transitions);
        let mut new = transitions.follow(None);
        let mut resumed = transitions.follow(Some(1));
        let mut other_process = transitions.follow(Some(77));
        push(&transitions);
        assert_eq!(next(&mut new).await, Ok(3));
        assert_eq!((next(&mut resumed).await, next(&mut resumed).await), (Ok(2), Ok(3)));
        assert_eq!(next(&mut other_process).await, Ok(1));
        let waiting = tokio::spawn(async move { next(&mut new).await });
        push(&transitions);
        assert_eq!(waiting.await.unwrap(), Ok(4));
    }

    #[tokio::test]
    async fn a_slow_follower_hears_how_much_it_missed() {
        let transitions = Arc::new(Transitions::default());
        let mut follower = transitions.follow(None);
        for _ in 0..REMEMBERED + 7 {
            push(&transitions);
        }
        assert_eq!(transitions.recent().len(), REMEMBERED);
        assert_eq!(next(&mut follower).await, Err(7));
        assert_eq!(next(&mut follower).await, Ok(8));
    }

    #[tokio::test]
    async fn following_ends_with_the_process() {
        let transitions = Arc::new(Transitions::default());
        let mut follower = transitions.follow(None);
        let waiting = tokio::spawn(async move { follower.next().await.is_none() });
        tokio::task::yield_now().await;
        transitions.close();
        assert!(waiting.await.unwrap());
        assert!(transitions.follow(Some(0)).next().await.is_none());
    }

    #[test]
    fn a_transition_is_json_with_a_readable_time() {
        let transitions = Transitions::default();
        push(&transitions);
        let mut transition = (*transitions.recent()[0]).clone();
        transition.at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!(
            serde_json::json!(transition),
            serde_json::json!({
                "seq": 1, "at": "1970-01-01T00:00:01.500Z", "id": "a@b", "service": "a",
                "from": "closed", "to": "open", "cause": "failure_rate", "rate": 0.5, "n": 1,
            })
        );
    }
}
