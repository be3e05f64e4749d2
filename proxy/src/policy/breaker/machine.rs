//! The machine: mode over automatic state, and an epoch that tells old results from new ones.
//!
//! Every method is given the time and first does what has become due, so that a machine is right
//! whether or not somebody wakes it at its deadlines. What changed is put into `changes`.
//!
//! While a mode other than `auto` is in force the automatic state is closed; every change of the
//! mode begins afresh.

use super::rules::Rules;
use super::state::{Cause, Change, Mode, State, Totals, Verdict};
use super::window::{Counts, Window};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// When to come again to a half-open machine whose probes are all under way.
const PROBES_ARE_OUT: Duration = Duration::from_secs(1);

/// What changed during a call; empty nearly always, and then it costs nothing.
pub type Changes = Vec<Change>;

/// Leave to make one call. It has to come back: with a verdict, or without.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    epoch: u64,
}

/// A call that is not to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// When it is worth another try.
    pub retry_after: Duration,
    /// What refused it.
    pub state: State,
}

#[derive(Clone, Debug)]
enum Auto {
    Closed,
    Open { until: Instant },
    HalfOpen(Probing),
}

#[derive(Clone, Debug)]
struct Probing {
    /// When it opens again if nothing was decided. A patient machine has none before a probe.
    deadline: Option<Instant>,
    in_flight: u32,
    good: u32,
}

/// Decides who may call.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Rules,
    mode: Mode,
    auto: Auto,
    /// Counts changes of mode and state; a ticket of an older one moves nothing.
    epoch: u64,
    /// How often it has opened since it was last closed.
    n: u32,
    /// Failures in a row.
    row: u32,
    window: Window,
    totals: Totals,
    /// When the mode reverts to `auto`.
    lease: Option<Instant>,
    /// What whoever set the mode gave as a reason.
    reason: Option<Arc<str>>,
    /// In `metrics_only`: until when it would have been open, and says nothing more.
    told_until: Option<Instant>,
    /// The earliest deadline.
    wake: Option<Instant>,
}

impl Machine {
    /// A closed machine.
    pub fn new(rules: impl Into<Rules>, now: Instant) -> Self {
        let rules = rules.into();
        Self {
            window: Window::new(rules.window, now),
            rules,
            mode: Mode::Auto,
            auto: Auto::Closed,
            epoch: 0,
            n: 0,
            row: 0,
            totals: Totals::default(),
            lease: None,
            reason: None,
            told_until: None,
            wake: None,
        }
    }

    /// What it shows itself as.
    pub fn state(&self) -> State {
        match (self.mode, &self.auto) {
            (Mode::ForcedOpen, _) => State::ForcedOpen,
            (Mode::ForcedClosed, _) => State::ForcedClosed,
            (Mode::Disabled, _) => State::Disabled,
            (Mode::MetricsOnly, _) => State::MetricsOnly,
            (Mode::Auto, Auto::Closed) => State::Closed,
            (Mode::Auto, Auto::Open { .. }) => State::Open,
            (Mode::Auto, Auto::HalfOpen(_)) => State::HalfOpen,
        }
    }

    /// Who decides.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Calls since the beginning.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// When time alone changes something next.
    pub fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// Does what has become due.
    pub fn advance(&mut self, now: Instant, changes: &mut Changes) {
        if self.wake.is_some_and(|wake| wake <= now) {
            self.fire(now, changes);
        }
    }

    /// Whether [`Self::admit`] would give a ticket now, without taking one.
    pub fn allows(&self, now: Instant) -> bool {
        let due = self.wake.is_some_and(|wake| wake <= now);
        match (self.mode, &self.auto) {
            (Mode::Auto, Auto::Closed) => true,
            (Mode::Auto, Auto::Open { .. }) => due,
            (Mode::Auto, Auto::HalfOpen(probing)) => !due && probing.in_flight < self.rules.probes,
            (mode, _) => due || mode != Mode::ForcedOpen,
        }
    }

    /// Leave to make a call now.
    ///
    /// # Errors
    /// When it is not to be made.
    pub fn admit(&mut self, now: Instant, changes: &mut Changes) -> Result<Ticket, Rejected> {
        self.advance(now, changes);
        let retry_after = match (self.mode, &mut self.auto) {
            (Mode::ForcedOpen, _) => {
                let lease = self.lease.map(|lease| lease.saturating_duration_since(now));
                lease.unwrap_or(self.rules.open)
            }
            (_, Auto::Open { until }) => until.saturating_duration_since(now),
            (_, Auto::HalfOpen(probing)) if probing.in_flight >= self.rules.probes => {
                PROBES_ARE_OUT
            }
            (_, Auto::HalfOpen(probing)) => {
                probing.in_flight += 1;
                if probing.deadline.is_none() {
                    probing.deadline = Some(now + self.rules.half_open_timeout);
                    self.wake = probing.deadline;
                }
                return Ok(Ticket { epoch: self.epoch });
            }
            (_, Auto::Closed) => return Ok(Ticket { epoch: self.epoch }),
        };
        self.totals.not_permitted += 1;
        Err(Rejected { retry_after, state: self.state() })
    }

    /// How the call of a ticket ended, and when its response headers came.
    pub fn settle(
        &mut self,
        ticket: Ticket,
        verdict: Verdict,
        took: Duration,
        now: Instant,
        changes: &mut Changes,
    ) {
        self.advance(now, changes);
        if verdict == Verdict::Ignored {
            return self.give_back(ticket);
        }
        if self.mode == Mode::Disabled {
            return;
        }
        let (failed, slow) = (verdict == Verdict::Failure, self.rules.is_slow(took));
        self.totals.count(verdict, slow);
        if ticket.epoch != self.epoch {
            return;
        }
        if let Auto::HalfOpen(probing) = &mut self.auto {
            probing.in_flight = probing.in_flight.saturating_sub(1);
            probing.good += 1;
            if failed || slow {
                self.open(Cause::Probe, None, now, changes);
            } else if probing.good >= self.rules.probes {
                self.begin_afresh(now);
                self.shift(Auto::Closed, change(Cause::Probe), changes);
            }
            return;
        }
        self.row = if failed { self.row.saturating_add(1) } else { 0 };
        let counts = self.window.add(failed, slow, now);
        if let Some((cause, rate)) = self.threshold(counts) {
            match self.mode {
                Mode::Auto => self.open(cause, rate, now, changes),
                Mode::MetricsOnly => self.tell(cause, rate, now, changes),
                // Forced: recorded, and no more.
                _ => {}
            }
        }
    }

    /// The call of a ticket ended without a verdict, or was not made.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is used once")]
    pub fn give_back(&mut self, ticket: Ticket) {
        if self.mode == Mode::Disabled {
            return;
        }
        self.totals.count(Verdict::Ignored, false);
        if let Auto::HalfOpen(probing) = &mut self.auto
            && ticket.epoch == self.epoch
        {
            probing.in_flight = probing.in_flight.saturating_sub(1);
            if self.rules.patient && probing.in_flight == 0 {
                (probing.deadline, self.wake) = (None, None);
            }
        }
    }

    /// Puts a mode in force, until `ttl` is over if there is one; `auto` has none. A change begins
    /// afresh; the mode that is in force already gets the new time and reason.
    pub fn set_mode(
        &mut self,
        mode: Mode,
        ttl: Option<Duration>,
        reason: Option<Arc<str>>,
        now: Instant,
        changes: &mut Changes,
    ) {
        self.advance(now, changes);
        if mode != self.mode {
            let why = Change { reason: reason.clone(), ..change(Cause::Manual) };
            self.change_mode(mode, now, why, changes);
        }
        if mode != Mode::Auto {
            self.lease = ttl.map(|ttl| now + ttl);
            self.wake = self.lease;
            self.reason = reason;
        }
    }

    /// Begins anew in `auto`, closed. Totals stay, because they only ever grow.
    pub fn reset(&mut self, now: Instant, changes: &mut Changes) {
        self.advance(now, changes);
        self.change_mode(Mode::Auto, now, change(Cause::Reset), changes);
    }

    /// Other rules from now on. Window and state stay, unless the window has another shape. A mode
    /// that was forced gives way to what the file says.
    pub fn reconfigure(&mut self, rules: impl Into<Rules>, now: Instant, changes: &mut Changes) {
        self.advance(now, changes);
        let rules = rules.into();
        if rules == self.rules {
            return;
        }
        let reshaped = rules.window != self.rules.window;
        self.rules = rules;
        if self.mode != Mode::Auto || reshaped && self.state() != State::Closed {
            self.change_mode(Mode::Auto, now, change(Cause::Config), changes);
        } else if reshaped {
            self.begin_afresh(now);
        }
    }

    /// Everything there is to show.
    pub fn read(&mut self, now: Instant, changes: &mut Changes) -> Reading {
        self.advance(now, changes);
        let (until, in_flight, good) = match &self.auto {
            Auto::Closed => (None, 0, 0),
            Auto::Open { until } => (Some(*until), 0, 0),
            Auto::HalfOpen(probing) => (probing.deadline, probing.in_flight, probing.good),
        };
        Reading {
            mode: self.mode,
            state: self.state(),
            until,
            reverts: self.lease,
            reason: self.reason.clone(),
            n: self.n,
            consecutive: self.row,
            window: self.window.counts(now),
            in_flight,
            good,
            totals: self.totals,
        }
    }

    /// Which threshold is met. Failures in a row come first, so that the cause is always the same.
    fn threshold(&self, counts: Counts) -> Option<(Cause, Option<f64>)> {
        if self.rules.consecutive.is_some_and(|limit| self.row >= limit) {
            return Some((Cause::Consecutive, None));
        }
        if counts.calls < self.rules.min_calls {
            return None;
        }
        let slow = self.rules.slow.map(|slow| slow.rate);
        let (failed, late) = (counts.failure_rate(), counts.slow_rate());
        if self.rules.failure_rate.is_some_and(|limit| failed >= limit) {
            Some((Cause::FailureRate, Some(failed)))
        } else if slow.is_some_and(|limit| late >= limit) {
            Some((Cause::SlowRate, Some(late)))
        } else {
            None
        }
    }

    fn open(&mut self, cause: Cause, rate: Option<f64>, now: Instant, changes: &mut Changes) {
        self.n = self.n.saturating_add(1);
        let until = now + self.rules.open_time(self.n);
        self.shift(Auto::Open { until }, Change { rate, ..change(cause) }, changes);
    }

    /// Tells of a threshold, at most once in the time that it would have been open.
    fn tell(&mut self, cause: Cause, rate: Option<f64>, now: Instant, changes: &mut Changes) {
        if self.told_until.is_none_or(|until| until <= now) {
            self.told_until = Some(now + self.rules.open);
            let state = self.state();
            changes.push(Change { from: state, to: state, rate, ..change(cause) });
        }
    }

    /// A deadline has passed.
    fn fire(&mut self, now: Instant, changes: &mut Changes) {
        match self.auto {
            Auto::Open { .. } => {
                let deadline = (!self.rules.patient).then(|| now + self.rules.half_open_timeout);
                let probing = Probing { deadline, in_flight: 0, good: 0 };
                self.shift(Auto::HalfOpen(probing), change(Cause::Timer), changes);
            }
            Auto::HalfOpen(_) => self.open(Cause::HalfOpenTimeout, None, now, changes),
            // Only a mode has a deadline then.
            Auto::Closed => self.change_mode(Mode::Auto, now, change(Cause::Ttl), changes),
        }
    }

    fn change_mode(&mut self, mode: Mode, now: Instant, why: Change, changes: &mut Changes) {
        let from = self.state();
        self.begin_afresh(now);
        (self.mode, self.auto) = (mode, Auto::Closed);
        (self.lease, self.reason, self.told_until) = (None, None, None);
        self.enter(Change { from, ..why }, changes);
    }

    fn shift(&mut self, auto: Auto, why: Change, changes: &mut Changes) {
        let from = self.state();
        self.auto = auto;
        self.enter(Change { from, ..why }, changes);
    }

    /// A state was entered: older tickets are void, and somebody wants to know.
    fn enter(&mut self, why: Change, changes: &mut Changes) {
        self.epoch += 1;
        self.wake = match &self.auto {
            Auto::Closed => self.lease,
            Auto::Open { until } => Some(*until),
            Auto::HalfOpen(probing) => probing.deadline,
        };
        changes.push(Change { to: self.state(), n: self.n, ..why });
    }

    /// Nothing of the past counts any more.
    fn begin_afresh(&mut self, now: Instant) {
        self.window = Window::new(self.rules.window, now);
        (self.n, self.row) = (0, 0);
    }
}

/// A change for this cause; the rest is filled in where it is known.
fn change(cause: Cause) -> Change {
    Change { from: State::Closed, to: State::Closed, cause, rate: None, n: 0, reason: None }
}

/// What a machine shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Who decides.
    pub mode: Mode,
    /// What it is.
    pub state: State,
    /// When time alone ends the automatic state.
    pub until: Option<Instant>,
    /// When the mode reverts to `auto`.
    pub reverts: Option<Instant>,
    /// Why the mode was set.
    pub reason: Option<Arc<str>>,
    /// How often it has opened since it was last closed.
    pub n: u32,
    /// Failures in a row.
    pub consecutive: u32,
    /// Calls in the window.
    pub window: Counts,
    /// Probes under way.
    pub in_flight: u32,
    /// Good probes so far.
    pub good: u32,
    /// Calls since the beginning.
    pub totals: Totals,
}
