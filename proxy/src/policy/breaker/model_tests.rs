//! The machine against a plain model of it, over random histories.
//!
//! The model keeps every call in a list and works everything out anew from the rules each time: no
//! buckets that roll, no running sums, no cached deadlines.

use super::{Cause, Change, Changes, Machine, Mode, State, Ticket, Verdict};
use crate::testing;
use proptest::prelude::*;
use std::time::Duration;
use stitch_config::model::{Breaker, Slow};
use tokio::time::Instant;

/// Times are in milliseconds from the start.
type Millis = u64;

#[derive(Clone, Debug)]
struct Call {
    bucket: u64,
    failed: bool,
    slow: bool,
}

struct Model {
    settings: Breaker,
    state: State,
    /// One name per stay in a state; a call belongs to the stay that it began in.
    stay: u64,
    entered: Millis,
    /// How long open or half-open lasts, by the settings when it began.
    lasts: Millis,
    opened: u32,
    row: u32,
    calls: Vec<Call>,
    window_from: Millis,
    probes_out: u32,
    probes_good: u32,
    reverts: Option<Millis>,
    told: Option<Millis>,
    totals: [u64; 5],
    changes: Vec<(State, State, Cause, u32)>,
}

fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap()
}

impl Model {
    fn new(settings: &Breaker) -> Self {
        Self {
            settings: settings.clone(),
            state: State::Closed,
            stay: 0,
            entered: 0,
            lasts: 0,
            opened: 0,
            row: 0,
            calls: Vec::new(),
            window_from: 0,
            probes_out: 0,
            probes_good: 0,
            reverts: None,
            told: None,
            totals: [0; 5],
            changes: Vec::new(),
        }
    }

    fn enter(&mut self, state: State, cause: Cause, now: Millis) {
        if !matches!(state, State::Open | State::HalfOpen) {
            (self.opened, self.row, self.window_from) = (0, 0, now);
            self.calls.clear();
        }
        if state == State::Open {
            self.opened += 1;
            let factor = (1..self.opened).fold(1.0, |factor, _| factor * self.settings.open_factor);
            let grown = self.settings.open.as_secs_f64() * factor * 1000.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole ms")]
            let grown = grown.round().min(300_000.0) as u64;
            self.lasts = grown;
        }
        if state == State::HalfOpen {
            self.lasts = millis(self.settings.half_open_timeout);
        }
        self.changes.push((self.state, state, cause, self.opened));
        self.state = state;
        self.stay += 1;
        self.entered = now;
        (self.probes_out, self.probes_good, self.told) = (0, 0, None);
    }

    fn tick(&mut self, now: Millis) {
        match self.state {
            State::Open if now >= self.entered + self.lasts => {
                self.enter(State::HalfOpen, Cause::Timer, now);
            }
            State::HalfOpen if now >= self.entered + self.lasts => {
                self.enter(State::Open, Cause::HalfOpenTimeout, now);
            }
            _ if self.reverts.is_some_and(|at| now >= at) => {
                self.reverts = None;
                self.enter(State::Closed, Cause::Ttl, now);
            }
            _ => {}
        }
    }

    fn admit(&mut self, now: Millis) -> Option<u64> {
        self.tick(now);
        let refused = match self.state {
            State::Open | State::ForcedOpen => true,
            State::HalfOpen => self.probes_out >= self.settings.probes,
            _ => false,
        };
        if refused {
            self.totals[4] += 1;
            return None;
        }
        if self.state == State::HalfOpen {
            self.probes_out += 1;
        }
        Some(self.stay)
    }

    /// `verdict` is `None` for a permit that was dropped, which needs no time.
    fn settle(&mut self, stay: u64, verdict: Option<Verdict>, took: Millis, now: Millis) {
        if verdict.is_some() {
            self.tick(now);
        }
        if self.state == State::Disabled {
            return;
        }
        let failed = verdict == Some(Verdict::Failure);
        let ignored = matches!(verdict, None | Some(Verdict::Ignored));
        let slow = self.settings.slow.is_some_and(|slow| took > millis(slow.over));
        let column = match (ignored, failed, slow) {
            (true, ..) => 3,
            (_, true, _) => 1,
            (_, _, true) => 2,
            _ => 0,
        };
        self.totals[column] += 1;
        if stay != self.stay {
            return;
        }
        if self.state == State::HalfOpen {
            self.probes_out -= 1;
            if ignored {
                return;
            }
            self.probes_good += 1;
            if failed || slow {
                self.enter(State::Open, Cause::Probe, now);
            } else if self.probes_good >= self.settings.probes {
                self.enter(State::Closed, Cause::Probe, now);
            }
            return;
        }
        if ignored {
            return;
        }
        self.row = if failed { self.row + 1 } else { 0 };
        let bucket = self.bucket(now);
        self.calls.push(Call { bucket, failed, slow });
        let Some(cause) = self.met(now) else { return };
        if self.state == State::Closed {
            self.enter(State::Open, cause, now);
        } else if self.state == State::MetricsOnly {
            let open = millis(self.settings.open);
            if self.told.is_none_or(|told| now >= told + open) {
                self.told = Some(now);
                self.changes.push((self.state, self.state, cause, 0));
            }
        }
    }

    fn bucket(&self, now: Millis) -> u64 {
        (now - self.window_from) / (millis(self.settings.window) / 10)
    }

    fn in_window(&self, now: Millis) -> Vec<&Call> {
        let newest = self.bucket(now);
        self.calls.iter().filter(|call| call.bucket + 10 > newest).collect()
    }

    fn met(&self, now: Millis) -> Option<Cause> {
        let Breaker { consecutive, failure_rate, min_calls, slow, .. } = &self.settings;
        if consecutive.is_some_and(|limit| self.row >= limit) {
            return Some(Cause::Consecutive);
        }
        let calls = self.in_window(now);
        let all = calls.len();
        if all < usize::try_from(*min_calls).unwrap() {
            return None;
        }
        // Rates here are quarters, so that products are exact.
        let reaches = |part: usize, rate: f64| {
            f64::from(u32::try_from(part).unwrap()) >= rate * f64::from(u32::try_from(all).unwrap())
        };
        let failed = calls.iter().filter(|call| call.failed).count();
        let late = calls.iter().filter(|call| call.slow).count();
        if failure_rate.is_some_and(|rate| reaches(failed, rate)) {
            Some(Cause::FailureRate)
        } else if slow.is_some_and(|slow| reaches(late, slow.rate)) {
            Some(Cause::SlowRate)
        } else {
            None
        }
    }

    fn set_mode(&mut self, mode: Mode, ttl: Option<Millis>, now: Millis) {
        self.tick(now);
        let is_auto = matches!(self.state, State::Closed | State::Open | State::HalfOpen);
        let (state, same) = match mode {
            Mode::Auto => (State::Closed, is_auto),
            Mode::ForcedOpen => (State::ForcedOpen, self.state == State::ForcedOpen),
            Mode::ForcedClosed => (State::ForcedClosed, self.state == State::ForcedClosed),
            Mode::Disabled => (State::Disabled, self.state == State::Disabled),
            Mode::MetricsOnly => (State::MetricsOnly, self.state == State::MetricsOnly),
        };
        if !same {
            self.enter(state, Cause::Manual, now);
        }
        self.reverts = ttl.filter(|_| mode != Mode::Auto).map(|ttl| now + ttl);
    }

    fn reset(&mut self, now: Millis) {
        self.tick(now);
        self.reverts = None;
        self.enter(State::Closed, Cause::Reset, now);
    }

    fn reconfigure(&mut self, settings: &Breaker, now: Millis) {
        self.tick(now);
        if *settings == self.settings {
            return;
        }
        let reshaped = settings.window != self.settings.window;
        self.settings = settings.clone();
        let forced = !matches!(self.state, State::Closed | State::Open | State::HalfOpen);
        if forced || reshaped && self.state != State::Closed {
            self.reverts = None;
            self.enter(State::Closed, Cause::Config, now);
        } else if reshaped {
            (self.opened, self.row, self.window_from) = (0, 0, now);
            self.calls.clear();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(Millis),
    Admit,
    /// One of the permits that are out, by its place; what it is settled with, if not dropped.
    Settle(usize, Option<Verdict>, Millis),
    Force(Mode, Option<Millis>),
    Reset,
    Reconfigure(Breaker),
}

fn settings() -> impl Strategy<Value = Breaker> {
    (
        prop::option::of(1..5_u32),
        prop::option::of((1..=4_u32).prop_map(|quarters| f64::from(quarters) / 4.0)),
        prop::option::of((0..50_u64, 1..=4_u32)),
        prop::sample::select(vec![100_u64, 1000]),
        1..8_u32,
        (prop::sample::select(vec![1_u64, 60, 700]), prop::sample::select(vec![1.0, 2.0, 4.0])),
        (1..4_u32, prop::sample::select(vec![5_u64, 300])),
    )
        .prop_map(|(consecutive, failure_rate, slow, window, min_calls, open, half_open)| {
            Breaker {
                consecutive,
                failure_rate,
                slow: slow.map(|(over, quarters)| Slow {
                    over: Duration::from_millis(over),
                    rate: f64::from(quarters) / 4.0,
                }),
                window: Duration::from_millis(window),
                min_calls,
                open: Duration::from_millis(open.0),
                open_factor: open.1,
                probes: half_open.0,
                half_open_timeout: Duration::from_millis(half_open.1),
            }
        })
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop::sample::select(vec![
        None,
        Some(Verdict::Ignored),
        Some(Verdict::Success),
        Some(Verdict::Success),
        Some(Verdict::Failure),
        Some(Verdict::Failure),
    ]);
    let ttl = prop::option::of(1..200_u64);
    prop_oneof![
        20 => Just(Step::Admit),
        20 => (any::<usize>(), verdict, 0..60_u64)
            .prop_map(|(which, verdict, took)| Step::Settle(which, verdict, took)),
        8 => prop::sample::select(vec![0_u64, 1, 5, 9, 10, 60, 99, 100, 400, 2000]).prop_map(Step::Pass),
        2 => (prop::sample::select(Mode::ALL.to_vec()), ttl)
            .prop_map(|(mode, ttl)| Step::Force(mode, ttl)),
        1 => Just(Step::Reset),
        1 => settings().prop_map(Step::Reconfigure),
    ]
}

/// Runs one history through both; everything that can be seen has to be the same after each step.
fn agree(settings: &Breaker, steps: Vec<Step>) {
    let start = testing::start();
    let (mut machine, mut model) = (Machine::new(settings, start), Model::new(settings));
    let mut out: Vec<(Ticket, u64)> = Vec::new();
    let mut now = 0;
    for step in steps {
        let mut changes = Changes::new();
        let at = start + Duration::from_millis(now);
        let shown = format!("{step:?} at {now} ms");
        match step {
            Step::Pass(time) => {
                now += time;
                let at = start + Duration::from_millis(now);
                machine.advance(at, &mut changes);
                model.tick(now);
            }
            Step::Admit => {
                let would = machine.allows(at);
                let ticket = machine.admit(at, &mut changes);
                assert_eq!(would, ticket.is_ok(), "{shown}");
                let stay = model.admit(now);
                assert_eq!(ticket.is_ok(), stay.is_some(), "{shown}");
                out.extend(ticket.ok().zip(stay));
            }
            Step::Settle(which, verdict, took) if !out.is_empty() => {
                let (ticket, stay) = out.swap_remove(which % out.len());
                let time = Duration::from_millis(took);
                match verdict {
                    Some(verdict) => machine.settle(ticket, verdict, time, at, &mut changes),
                    None => machine.give_back(ticket),
                }
                model.settle(stay, verdict, took, now);
            }
            Step::Settle(..) => {}
            Step::Force(mode, ttl) => {
                let time = ttl.map(Duration::from_millis);
                machine.set_mode(mode, time, None, at, &mut changes);
                model.set_mode(mode, ttl, now);
            }
            Step::Reset => {
                machine.reset(at, &mut changes);
                model.reset(now);
            }
            Step::Reconfigure(settings) => {
                machine.reconfigure(&settings, at, &mut changes);
                model.reconfigure(&settings, now);
            }
        }
        let told = |change: &Change| (change.from, change.to, change.cause, change.n);
        let told: Vec<_> = changes.iter().map(told).collect();
        assert_eq!(told, std::mem::take(&mut model.changes), "{shown}");
        compare(&mut machine, &model, start, now, &shown);
    }
}

#[track_caller]
fn compare(machine: &mut Machine, model: &Model, start: Instant, now: Millis, shown: &str) {
    let mut changes = Changes::new();
    // The machine may have something due that only a step would do.
    let reading = machine.clone().read(start + Duration::from_millis(now), &mut changes);
    if changes.is_empty() {
        let counts = reading.window;
        let calls = model.in_window(now);
        let failures = calls.iter().filter(|call| call.failed).count();
        let slow = calls.iter().filter(|call| call.slow).count();
        let counted = [counts.calls, counts.failures, counts.slow];
        let expected = [calls.len(), failures, slow].map(|count| u32::try_from(count).unwrap());
        assert_eq!(counted, expected, "{shown}");
        assert_eq!((reading.in_flight, reading.good), (model.probes_out, model.probes_good));
    }
    assert_eq!(machine.state(), model.state, "{shown}");
    assert_eq!(machine.totals().by_outcome().map(|(_, count)| count), model.totals, "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..<_>::default() })]

    #[test]
    fn the_machine_does_what_the_model_does(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        agree(&settings, steps);
    }
}
