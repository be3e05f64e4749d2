//! Each row of the table of transitions, on invented time.

use super::{Cause, Changes, Machine, Mode, Rejected, Rules, State, Ticket, Verdict};
use crate::testing;
use std::time::Duration;
use stitch_config::model::{Breaker, Eject, Slow};
use tokio::time::Instant;

/// A machine, its time, and what it told.
struct Bench {
    machine: Machine,
    now: Instant,
    changes: Changes,
}

fn bench(rules: impl Into<Rules>) -> Bench {
    let now = testing::start();
    Bench { machine: Machine::new(rules, now), now, changes: Changes::new() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Bench {
    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn advance(&mut self) -> State {
        self.machine.advance(self.now, &mut self.changes);
        self.machine.state()
    }

    fn admit(&mut self) -> Result<Ticket, Rejected> {
        self.machine.admit(self.now, &mut self.changes)
    }

    fn settle(&mut self, ticket: Ticket, verdict: Verdict) {
        self.settle_after(ticket, verdict, Duration::ZERO);
    }

    fn settle_after(&mut self, ticket: Ticket, verdict: Verdict, took: Duration) {
        self.machine.settle(ticket, verdict, took, self.now, &mut self.changes);
    }

    #[track_caller]
    fn call(&mut self, verdict: Verdict) {
        let ticket = self.admit().unwrap();
        self.settle(ticket, verdict);
    }

    #[track_caller]
    fn fail(&mut self, times: u32) {
        (0..times).for_each(|_| self.call(Verdict::Failure));
    }

    #[track_caller]
    fn succeed(&mut self, times: u32) {
        (0..times).for_each(|_| self.call(Verdict::Success));
    }

    fn force(&mut self, mode: Mode, ttl: Option<Duration>) {
        let why = Some("drill".into());
        self.machine.set_mode(mode, ttl, why, self.now, &mut self.changes);
    }

    fn reconfigure(&mut self, settings: &Breaker) {
        self.machine.reconfigure(settings, self.now, &mut self.changes);
    }

    /// From, to and cause of what changed since the last look.
    fn told(&mut self) -> Vec<(State, State, Cause)> {
        self.changes.drain(..).map(|change| (change.from, change.to, change.cause)).collect()
    }

    fn reading(&mut self) -> super::Reading {
        self.machine.read(self.now, &mut self.changes)
    }

    /// Opened by failures in a row, and half-open by the timer.
    fn half_open(&mut self) {
        self.fail(5);
        self.pass(seconds(60));
        assert_eq!(self.advance(), State::HalfOpen);
        self.told();
    }
}

#[test]
fn closed_to_open_by_failures_in_a_row() {
    let mut bench = bench(&Breaker::default());
    bench.fail(4);
    bench.succeed(1);
    bench.fail(4);
    bench.call(Verdict::Ignored);
    assert_eq!(bench.told(), []);
    bench.fail(1);
    assert_eq!(bench.changes[0].rate, None);
    assert_eq!(bench.changes[0].n, 1);
    assert_eq!(bench.told(), [(State::Closed, State::Open, Cause::Consecutive)]);
    assert_eq!(bench.machine.deadline(), Some(bench.now + seconds(60)));
    bench.pass(seconds(15));
    let rejected = bench.admit().unwrap_err();
    assert_eq!(rejected, Rejected { retry_after: seconds(45), state: State::Open });
}

#[test]
fn closed_to_open_by_the_failure_rate_once_there_are_enough_calls() {
    let mut bench = bench(&Breaker { consecutive: None, ..Breaker::default() });
    bench.fail(10);
    bench.succeed(9);
    assert_eq!(bench.told(), [], "19 calls say nothing");
    bench.succeed(1);
    assert_eq!(bench.changes[0].rate, Some(0.5));
    assert_eq!(bench.told(), [(State::Closed, State::Open, Cause::FailureRate)]);
}

#[test]
fn failures_that_left_the_window_do_not_count() {
    let settings = Breaker { consecutive: None, ..Breaker::default() };
    let mut bench = bench(&settings);
    bench.fail(10);
    bench.pass(settings.window);
    bench.succeed(10);
    bench.fail(9);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.reading().window.calls, 19);
    bench.fail(1);
    assert_eq!(bench.told(), [(State::Closed, State::Open, Cause::FailureRate)]);
}

#[test]
fn closed_to_open_by_slow_calls_failed_or_not() {
    let slow = Some(Slow { over: seconds(1), rate: 0.5 });
    let mut bench = bench(&Breaker {
        consecutive: None,
        failure_rate: None,
        slow,
        min_calls: 4,
        ..Breaker::default()
    });
    bench.succeed(2);
    for verdict in [Verdict::Success, Verdict::Failure] {
        let ticket = bench.admit().unwrap();
        bench.settle_after(ticket, verdict, seconds(2));
    }
    assert_eq!(bench.changes[0].rate, Some(0.5));
    assert_eq!(bench.told(), [(State::Closed, State::Open, Cause::SlowRate)]);
    let totals = bench.machine.totals();
    assert_eq!((totals.success, totals.slow, totals.failure), (2, 1, 1));
}

#[test]
fn failures_in_a_row_are_the_cause_when_everything_is_met() {
    let slow = Some(Slow { over: Duration::ZERO, rate: 0.1 });
    let rules = |consecutive, failure_rate| Breaker {
        consecutive,
        failure_rate,
        slow,
        min_calls: 1,
        ..Breaker::default()
    };
    for (settings, cause) in [
        (rules(Some(1), Some(0.1)), Cause::Consecutive),
        (rules(None, Some(0.1)), Cause::FailureRate),
        (rules(None, None), Cause::SlowRate),
    ] {
        let mut bench = bench(&settings);
        let ticket = bench.admit().unwrap();
        bench.settle_after(ticket, Verdict::Failure, seconds(1));
        assert_eq!(bench.told(), [(State::Closed, State::Open, cause)]);
    }
}

#[test]
fn rates_below_their_thresholds_leave_it_closed() {
    let slow = Some(Slow { over: seconds(1), rate: 1.0 });
    let mut bench = bench(&Breaker { consecutive: None, slow, ..Breaker::default() });
    for _ in 0..30 {
        bench.succeed(2);
        bench.fail(1);
    }
    assert_eq!(bench.told(), []);
    assert!(bench.machine.allows(bench.now));
}

#[test]
fn open_to_half_open_by_the_timer_and_not_before() {
    let mut bench = bench(&Breaker::default());
    bench.fail(5);
    bench.told();
    bench.pass(seconds(60) - Duration::from_nanos(1));
    assert_eq!(bench.advance(), State::Open);
    assert!(!bench.machine.allows(bench.now));
    bench.pass(Duration::from_nanos(1));
    assert!(bench.machine.allows(bench.now), "as if the timer had fired");
    assert_eq!(bench.machine.state(), State::Open, "looking changes nothing");
    assert_eq!(bench.advance(), State::HalfOpen);
    assert_eq!(bench.told(), [(State::Open, State::HalfOpen, Cause::Timer)]);
}

#[test]
fn half_open_to_closed_by_good_probes() {
    let mut bench = bench(&Breaker::default());
    bench.half_open();
    let probes = [(); 3].map(|()| bench.admit().unwrap());
    assert!(!bench.machine.allows(bench.now));
    let rejected = bench.admit().unwrap_err();
    assert_eq!(rejected, Rejected { retry_after: seconds(1), state: State::HalfOpen });
    let [one, two, three] = probes;
    bench.settle(one, Verdict::Success);
    bench.settle(two, Verdict::Ignored);
    let reading = bench.reading();
    assert_eq!((reading.in_flight, reading.good), (1, 1));
    bench.settle(three, Verdict::Success);
    assert_eq!(bench.told(), []);
    assert!(bench.machine.allows(bench.now));
    bench.succeed(1);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Closed, Cause::Probe)]);
    let reading = bench.reading();
    assert_eq!((reading.window.calls, reading.consecutive, reading.n), (0, 0, 0));
    bench.fail(4);
    assert_eq!(bench.told(), [], "it begins afresh");
}

#[test]
fn half_open_to_open_by_the_first_bad_probe_for_longer_and_longer() {
    let mut bench = bench(&Breaker { open_factor: 2.0, ..Breaker::default() });
    bench.half_open();
    for (n, wait) in [(2, 120), (3, 240), (4, 300)] {
        bench.succeed(2);
        bench.fail(1);
        assert_eq!(bench.changes[0].n, n);
        assert_eq!(bench.told(), [(State::HalfOpen, State::Open, Cause::Probe)]);
        assert_eq!(bench.reading().until, Some(bench.now + seconds(wait)));
        bench.pass(seconds(wait));
        assert_eq!(bench.advance(), State::HalfOpen);
        bench.told();
    }
    bench.succeed(3);
    bench.fail(5);
    assert_eq!(bench.reading().until, Some(bench.now + seconds(60)), "short again");
}

#[test]
fn a_slow_probe_is_a_bad_one() {
    let slow = Some(Slow { over: seconds(1), rate: 1.0 });
    let mut bench = bench(&Breaker { slow, ..Breaker::default() });
    bench.half_open();
    let ticket = bench.admit().unwrap();
    bench.settle_after(ticket, Verdict::Success, seconds(2));
    assert_eq!(bench.told(), [(State::HalfOpen, State::Open, Cause::Probe)]);
}

#[test]
fn half_open_to_open_without_a_verdict_in_time() {
    let mut bench = bench(&Breaker { open_factor: 2.0, ..Breaker::default() });
    bench.half_open();
    let hung = bench.admit().unwrap();
    bench.pass(seconds(30));
    assert!(!bench.machine.allows(bench.now));
    assert_eq!(bench.advance(), State::Open);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Open, Cause::HalfOpenTimeout)]);
    assert_eq!(bench.reading().until, Some(bench.now + seconds(120)));
    bench.settle(hung, Verdict::Success);
    assert_eq!(bench.told(), []);
}

#[test]
fn a_permit_that_comes_back_lets_another_in() {
    let mut bench = bench(&Breaker { probes: 1, ..Breaker::default() });
    bench.half_open();
    let ticket = bench.admit().unwrap();
    assert!(bench.admit().is_err());
    bench.machine.give_back(ticket);
    bench.succeed(1);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Closed, Cause::Probe)]);
    let totals = bench.machine.totals();
    assert_eq!((totals.ignored, totals.success, totals.not_permitted), (1, 1, 1));
}

#[test]
fn late_results_count_in_totals_and_move_nothing() {
    let mut bench = bench(&Breaker { probes: 1, ..Breaker::default() });
    let late = [(); 6].map(|()| bench.admit().unwrap());
    bench.half_open();
    let probe = bench.admit().unwrap();
    let [good, bad, gone, ignored, after, at_last] = late;
    bench.settle(good, Verdict::Success);
    bench.settle(bad, Verdict::Failure);
    bench.machine.give_back(gone);
    bench.settle(ignored, Verdict::Ignored);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.reading().in_flight, 1, "the probe's place is not theirs");
    bench.settle(probe, Verdict::Success);
    bench.told();
    bench.settle(after, Verdict::Failure);
    bench.machine.give_back(at_last);
    let reading = bench.reading();
    assert_eq!((reading.consecutive, reading.window.calls), (0, 0));
    let totals = reading.totals;
    assert_eq!((totals.success, totals.failure, totals.ignored), (2, 7, 3));
}

#[test]
fn a_result_that_comes_with_the_deadline_is_late() {
    let mut bench = bench(&Breaker { probes: 1, ..Breaker::default() });
    bench.half_open();
    let probe = bench.admit().unwrap();
    bench.pass(seconds(30));
    bench.settle(probe, Verdict::Success);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Open, Cause::HalfOpenTimeout)]);
}

#[test]
fn forced_open_refuses_everything_until_it_reverts() {
    let mut bench = bench(&Breaker::default());
    bench.force(Mode::ForcedOpen, Some(seconds(30)));
    assert_eq!(bench.changes[0].reason.as_deref(), Some("drill"));
    assert_eq!(bench.told(), [(State::Closed, State::ForcedOpen, Cause::Manual)]);
    bench.pass(seconds(10));
    assert!(!bench.machine.allows(bench.now));
    let rejected = bench.admit().unwrap_err();
    assert_eq!(rejected, Rejected { retry_after: seconds(20), state: State::ForcedOpen });
    let reading = bench.reading();
    assert_eq!(reading.reason.as_deref(), Some("drill"));
    assert_eq!(reading.reverts, Some(bench.now + seconds(20)));
    bench.pass(seconds(20));
    assert!(bench.machine.allows(bench.now));
    bench.succeed(1);
    assert_eq!(bench.told(), [(State::ForcedOpen, State::Closed, Cause::Ttl)]);
    let reading = bench.reading();
    assert_eq!((reading.reason, reading.reverts), (None, None));
}

#[test]
fn forced_open_without_an_end_says_to_come_back_after_the_open_time() {
    let mut bench = bench(&Breaker::default());
    bench.force(Mode::ForcedOpen, None);
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.admit().unwrap_err().retry_after, seconds(60));
}

#[test]
fn the_mode_in_force_gets_another_end() {
    let mut bench = bench(&Breaker::default());
    bench.force(Mode::ForcedOpen, Some(seconds(30)));
    bench.told();
    bench.force(Mode::ForcedOpen, Some(seconds(90)));
    assert_eq!(bench.told(), []);
    assert_eq!(bench.machine.deadline(), Some(bench.now + seconds(90)));
    bench.force(Mode::ForcedOpen, None);
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn forced_closed_passes_and_keeps_recording() {
    let mut bench = bench(&Breaker::default());
    bench.fail(5);
    bench.told();
    bench.force(Mode::ForcedClosed, None);
    assert_eq!(bench.told(), [(State::Open, State::ForcedClosed, Cause::Manual)]);
    bench.fail(30);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.reading().window.failures, 30);
    bench.force(Mode::Auto, None);
    assert_eq!(bench.told(), [(State::ForcedClosed, State::Closed, Cause::Manual)]);
    bench.fail(4);
    assert_eq!(bench.told(), [], "it begins afresh");
    assert_eq!(bench.machine.totals().failure, 39);
}

#[test]
fn auto_over_auto_changes_nothing() {
    let mut bench = bench(&Breaker::default());
    bench.fail(5);
    bench.told();
    bench.force(Mode::Auto, Some(seconds(1)));
    assert_eq!(bench.told(), []);
    let reading = bench.reading();
    assert_eq!((reading.state, reading.reverts, reading.reason), (State::Open, None, None));
    assert_eq!(bench.machine.deadline(), Some(bench.now + seconds(60)));
}

#[test]
fn disabled_passes_and_records_nothing() {
    let mut bench = bench(&Breaker::default());
    let before = bench.admit().unwrap();
    bench.force(Mode::Disabled, None);
    bench.told();
    bench.settle(before, Verdict::Failure);
    bench.fail(30);
    bench.call(Verdict::Ignored);
    let ticket = bench.admit().unwrap();
    bench.machine.give_back(ticket);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.machine.state(), State::Disabled);
    let reading = bench.reading();
    assert_eq!((reading.window.calls, reading.totals), (0, Default::default()));
}

#[test]
fn metrics_only_tells_what_would_have_opened_it_and_passes() {
    let mut bench = bench(&Breaker::default());
    bench.force(Mode::MetricsOnly, None);
    bench.told();
    bench.fail(4);
    assert_eq!(bench.told(), []);
    bench.fail(1);
    let met = (State::MetricsOnly, State::MetricsOnly, Cause::Consecutive);
    assert_eq!(bench.told(), [met]);
    bench.fail(50);
    bench.pass(seconds(59));
    bench.fail(1);
    assert_eq!(bench.told(), [], "once in the time that it would have been open");
    bench.pass(seconds(1));
    bench.fail(1);
    assert_eq!(bench.told(), [met]);
    assert_eq!(bench.machine.totals().not_permitted, 0);
    bench.force(Mode::Auto, None);
    bench.force(Mode::MetricsOnly, None);
    bench.told();
    bench.fail(5);
    assert_eq!(bench.told(), [met], "what was told before is another matter");
}

#[test]
fn reset_begins_anew_from_anywhere() {
    let mut bench = bench(&Breaker::default());
    bench.half_open();
    let probe = bench.admit().unwrap();
    bench.machine.reset(bench.now, &mut bench.changes);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Closed, Cause::Reset)]);
    bench.settle(probe, Verdict::Failure);
    assert_eq!(bench.reading().consecutive, 0);
    bench.force(Mode::ForcedOpen, Some(seconds(5)));
    bench.told();
    bench.machine.reset(bench.now, &mut bench.changes);
    assert_eq!(bench.told(), [(State::ForcedOpen, State::Closed, Cause::Reset)]);
    assert_eq!(bench.machine.deadline(), None);
    bench.fail(4);
    bench.machine.reset(bench.now, &mut bench.changes);
    assert_eq!(bench.told(), [(State::Closed, State::Closed, Cause::Reset)]);
    assert_eq!(bench.reading().window.calls, 0);
    assert_eq!(bench.machine.totals().failure, 10, "totals only ever grow");
}

#[test]
fn other_settings_keep_window_and_state() {
    let mut bench = bench(&Breaker::default());
    bench.fail(4);
    let consecutive = Some(6);
    bench.reconfigure(&Breaker { consecutive, ..Breaker::default() });
    assert_eq!(bench.reading().window.calls, 4);
    bench.fail(1);
    assert_eq!(bench.told(), []);
    bench.fail(1);
    assert_eq!(bench.told(), [(State::Closed, State::Open, Cause::Consecutive)]);
    let until = bench.reading().until;
    bench.reconfigure(&Breaker { consecutive, open: seconds(1), ..Breaker::default() });
    assert_eq!((bench.reading().until, bench.told()), (until, vec![]));
}

#[test]
fn another_window_begins_anew() {
    let settings = Breaker::default();
    let wider = Breaker { window: seconds(20), ..settings.clone() };
    let mut bench = bench(&settings);
    bench.fail(4);
    bench.reconfigure(&wider);
    assert_eq!((bench.reading().window.calls, bench.told()), (0, vec![]));
    bench.fail(5);
    bench.told();
    bench.reconfigure(&wider);
    assert_eq!(bench.told(), [], "the same settings are no change");
    bench.reconfigure(&settings);
    assert_eq!(bench.told(), [(State::Open, State::Closed, Cause::Config)]);
}

#[test]
fn a_forced_mode_outlives_reloads_until_the_file_changes_the_breaker() {
    let mut bench = bench(&Breaker::default());
    bench.force(Mode::ForcedOpen, None);
    bench.told();
    bench.reconfigure(&Breaker::default());
    assert_eq!((bench.machine.mode(), bench.told()), (Mode::ForcedOpen, vec![]));
    bench.reconfigure(&Breaker { min_calls: 7, ..Breaker::default() });
    assert_eq!(bench.told(), [(State::ForcedOpen, State::Closed, Cause::Config)]);
}

#[test]
fn an_endpoint_is_ejected_by_failures_in_a_row_and_tried_with_one_probe() {
    let mut bench = bench(&Eject { consecutive: 2, ..Eject::default() });
    bench.succeed(30);
    bench.fail(1);
    assert_eq!(bench.told(), []);
    bench.fail(1);
    assert_eq!(bench.told(), [(State::Closed, State::Open, Cause::Consecutive)]);
    bench.pass(seconds(30));
    assert_eq!(bench.advance(), State::HalfOpen);
    assert_eq!(bench.machine.deadline(), None, "nobody has tried it yet");
    bench.pass(seconds(300));
    let probe = bench.admit().unwrap();
    assert!(!bench.machine.allows(bench.now));
    assert_eq!(bench.machine.deadline(), Some(bench.now + seconds(30)));
    bench.machine.give_back(probe);
    assert_eq!(bench.machine.deadline(), None);
    bench.told();
    bench.succeed(1);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Closed, Cause::Probe)]);
}

#[test]
fn an_endpoint_whose_probe_hangs_is_out_again() {
    let mut bench = bench(&Eject { consecutive: 1, ..Eject::default() });
    bench.fail(1);
    bench.pass(seconds(30));
    let hung = bench.admit().unwrap();
    bench.told();
    bench.pass(seconds(30));
    assert_eq!(bench.advance(), State::Open);
    assert_eq!(bench.told(), [(State::HalfOpen, State::Open, Cause::HalfOpenTimeout)]);
    bench.machine.give_back(hung);
    assert_eq!(bench.machine.deadline(), Some(bench.now + seconds(30)));
}

#[test]
fn states_show_the_mode_where_one_is_forced() {
    let mut bench = bench(&Breaker::default());
    for (mode, state) in [
        (Mode::ForcedClosed, State::ForcedClosed),
        (Mode::MetricsOnly, State::MetricsOnly),
        (Mode::Disabled, State::Disabled),
        (Mode::ForcedOpen, State::ForcedOpen),
        (Mode::Auto, State::Closed),
    ] {
        bench.force(mode, None);
        assert_eq!(bench.reading().state, state);
        assert_eq!(bench.machine.allows(bench.now), state != State::ForcedOpen);
    }
}
