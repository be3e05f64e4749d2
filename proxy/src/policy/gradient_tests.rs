//! The limit before a simulated service, on invented time: what is offered twice the work that the
//! service can do is answered as much as it can do, and soon.
//!
//! The service has workers that take one request after another from a queue without an end. What
//! the limit does not admit is turned away. Arrivals do not wait for answers (open loop) and come at
//! random (Poisson); the same seed gives the same run.

use super::gradient::{Adaptive, Answer, Gradient};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

const BOUNDS: Adaptive = Adaptive { min: 3, max: 1000, tolerance: 2.0 };

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

const START: Duration = Duration::from_secs(1000);

/// How long a request occupies a worker, in nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Work {
    Fixed(u64),
    Exponential(u64),
}

impl Work {
    fn mean(self) -> u64 {
        match self {
            Self::Fixed(nanos) | Self::Exponential(nanos) => nanos,
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// A worker is done with the request that arrived then.
    Done {
        arrived: u64,
    },
}

struct Simulation {
    now: u64,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    queue: VecDeque<u64>,
    busy: usize,
    workers: usize,
    work: Work,
    /// Time that passes on the way, however much is going on.
    way: u64,
    /// Arrivals for each request that the workers can do.
    offered: f64,
    in_flight: u32,
    turned_away: u32,
    gradient: Gradient,
    random: fastrand::Rng,
    /// When each answer came, and how long it took.
    answers: Vec<(u64, u64)>,
    /// The limit after each answer.
    limits: Vec<(u64, u32)>,
}

impl Simulation {
    fn new(workers: usize, work: Work, offered: f64, seed: u64) -> Self {
        let mut simulation = Self {
            now: 0,
            events: BinaryHeap::new(),
            queue: VecDeque::new(),
            busy: 0,
            workers,
            work,
            way: 0,
            offered,
            in_flight: 0,
            turned_away: 0,
            gradient: Gradient::new(BOUNDS),
            random: fastrand::Rng::with_seed(seed),
            answers: Vec::new(),
            limits: Vec::new(),
        };
        simulation.arrive_later();
        simulation
    }

    /// Requests that the workers can do in a second.
    fn capacity(&self) -> f64 {
        self.workers as f64 * SECOND as f64 / self.work.mean() as f64
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        (-mean * (1.0 - self.random.f64()).ln()) as u64
    }

    fn arrive_later(&mut self) {
        let gap = self.exponential(SECOND as f64 / (self.capacity() * self.offered));
        self.events.push(Reverse((self.now + gap, Event::Arrival)));
    }

    fn start(&mut self, arrived: u64) {
        self.busy += 1;
        let takes = match self.work {
            Work::Fixed(nanos) => nanos,
            Work::Exponential(mean) => self.exponential(mean as f64),
        };
        self.events.push(Reverse((self.now + takes, Event::Done { arrived })));
    }

    fn run(&mut self, time: u64) -> &mut Self {
        let end = self.now + time;
        while let Some(Reverse((at, _))) = self.events.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, event))) = self.events.pop() else { break };
            self.now = at;
            match event {
                Event::Arrival => {
                    if self.in_flight < self.gradient.limit() {
                        self.in_flight += 1;
                        self.queue.push_back(at);
                    } else {
                        self.turned_away += 1;
                    }
                    self.arrive_later();
                }
                Event::Done { arrived } => {
                    self.busy -= 1;
                    self.answer(arrived);
                }
            }
            while self.busy < self.workers {
                let Some(arrived) = self.queue.pop_front() else { break };
                self.start(arrived);
            }
        }
        self.now = end;
        self
    }

    fn answer(&mut self, arrived: u64) {
        let took = self.now - arrived + self.way;
        let answer =
            Answer { took: Duration::from_nanos(took), failed: false, in_flight: self.in_flight };
        self.gradient.answered(Duration::from_nanos(self.now), answer);
        self.in_flight -= 1;
        self.answers.push((self.now, took));
        self.limits.push((self.now, self.gradient.limit()));
    }

    fn took_since(&self, start: u64) -> Vec<u64> {
        let mut took: Vec<_> =
            self.answers.iter().filter(|(at, _)| *at >= start).map(|(_, took)| *took).collect();
        took.sort_unstable();
        took
    }

    /// The share of the answers since then that took no longer than this.
    fn percentile(&self, start: u64, share: f64) -> f64 {
        let took = self.took_since(start);
        took[((took.len() - 1) as f64 * share) as usize] as f64
    }

    /// Answers since then as a share of what the workers could have done.
    fn throughput(&self, start: u64) -> f64 {
        let seconds = (self.now - start) as f64 / SECOND as f64;
        self.took_since(start).len() as f64 / (self.capacity() * seconds)
    }
}

/// The median of what takes the workers no queue.
fn unloaded(workers: usize, work: Work, way: u64) -> f64 {
    let mut simulation = Simulation::new(workers, work, 0.1, 7);
    simulation.way = way;
    simulation.run(60 * SECOND).percentile(0, 0.5)
}

/// What a service sees that is offered twice what it can do.
#[track_caller]
fn assert_held(simulation: &Simulation, start: u64, multiple: f64) {
    let unloaded = unloaded(simulation.workers, simulation.work, simulation.way);
    let held = simulation.percentile(start, 0.99) / unloaded;
    let work = (simulation.workers, simulation.work);
    assert!(held <= multiple, "p99 is {held:.2} times the unloaded median with {work:?}");
    let throughput = simulation.throughput(start);
    assert!(throughput >= 0.9, "{throughput:.3} of the capacity with {work:?}");
}

#[test]
fn with_constant_work_p99_stays_below_four_times_the_unloaded_median() {
    for workers in [4, 16, 64] {
        let mut simulation = Simulation::new(workers, Work::Fixed(10 * MILLI), 2.0, 1);
        simulation.run(30 * SECOND);
        assert_held(&simulation, 0, 4.0);
    }
}

/// Without any load p99 of such work is 6.6 times its median.
#[test]
fn with_exponential_work_p99_stays_below_ten_times_the_unloaded_median() {
    for (workers, seed) in [(4, 1), (16, 1), (16, 2), (16, 3), (64, 1)] {
        let work = Work::Exponential(10 * MILLI);
        let mut simulation = Simulation::new(workers, work, 2.0, seed);
        simulation.run(30 * SECOND);
        assert_held(&simulation, 0, 10.0);
    }
}

#[test]
fn time_on_the_way_is_not_taken_for_a_queue() {
    let mut simulation = Simulation::new(4, Work::Fixed(5 * MILLI), 2.0, 1);
    simulation.way = 20 * MILLI;
    simulation.run(30 * SECOND);
    assert_held(&simulation, 5 * SECOND, 4.0);
}

#[test]
fn a_service_that_changes_is_followed_both_ways() {
    let (slow, fast) = (Work::Fixed(40 * MILLI), Work::Fixed(10 * MILLI));
    let mut simulation = Simulation::new(16, fast, 2.0, 1);
    for (workers, work) in [
        (16, fast),
        (16, slow),
        (16, fast),
        (4, fast),
        (64, fast),
        (64, slow),
        (4, slow),
        (16, fast),
    ] {
        (simulation.workers, simulation.work) = (workers, work);
        let changed = simulation.now;
        simulation.run(20 * SECOND);
        println!(
            "{:?}",
            simulation
                .limits
                .iter()
                .filter(|(at, _)| *at >= changed)
                .step_by(100)
                .map(|(_, l)| *l)
                .take(40)
                .collect::<Vec<_>>()
        );
        // Ten seconds to find out.
        assert_held(&simulation, changed + 10 * SECOND, 4.0);
    }
}

#[test]
fn half_the_load_is_left_alone() {
    let mut simulation = Simulation::new(16, Work::Exponential(10 * MILLI), 0.5, 1);
    simulation.run(10 * SECOND).limits.clear();
    simulation.turned_away = 0;
    simulation.run(110 * SECOND);
    let limits: Vec<_> = simulation.limits.iter().map(|(_, limit)| *limit).collect();
    let (least, most) = (limits.iter().min(), limits.iter().max());
    assert!(least >= Some(&25), "{least:?}: it never drops to measure");
    assert!(most <= Some(&50), "{most:?}: nor does it rise without a need");
    assert!(simulation.turned_away < 10, "{} of 88 000", simulation.turned_away);
}

#[test]
fn the_same_run_gives_the_same_limits() {
    let run = || {
        let mut simulation = Simulation::new(16, Work::Exponential(10 * MILLI), 2.0, 9);
        simulation.run(10 * SECOND);
        simulation.limits
    };
    assert_eq!(run(), run());
}

/// Answers that took so long, one each millisecond.
fn answers(gradient: &mut Gradient, from: Duration, count: u32, answer: Answer) -> Duration {
    (0..count).fold(from, |now, _| {
        gradient.answered(now, answer);
        now + Duration::from_millis(1)
    })
}

fn answer(millis: u64, in_flight: u32) -> Answer {
    Answer { took: Duration::from_millis(millis), failed: false, in_flight }
}

#[test]
fn quick_failures_do_not_count_and_slow_ones_do() {
    let mut gradient = Gradient::new(BOUNDS);
    let now = answers(&mut gradient, START, 100, answer(10, 2));
    assert_eq!(gradient.baseline(), Some(Duration::from_millis(10)));
    let limit = gradient.limit();
    let refused = Answer { failed: true, ..answer(0, 10) };
    let now = answers(&mut gradient, now, 1000, refused);
    assert_eq!((gradient.limit(), gradient.baseline()), (limit, Some(Duration::from_millis(10))));
    let timed_out = Answer { failed: true, ..answer(5000, 10) };
    answers(&mut gradient, now, 100, timed_out);
    assert!(gradient.limit() < limit, "{} after {limit}", gradient.limit());
}

#[test]
fn the_limit_stays_within_its_bounds() {
    let bounds = Adaptive { min: 5, max: 30, tolerance: 1.5 };
    let mut gradient = Gradient::new(bounds);
    let mut now = START;
    for (millis, in_flight) in [(1, 30), (1000, 30), (1, 5), (3000, 5)] {
        for _ in 0..2000 {
            now = answers(&mut gradient, now, 1, answer(millis, in_flight));
            assert!((5..=30).contains(&gradient.limit()), "{}", gradient.limit());
        }
    }
    let narrow = Adaptive { min: 40, max: 50, tolerance: 2.0 };
    gradient.configure(narrow);
    assert_eq!((gradient.limit(), gradient.bounds()), (40, narrow));
    gradient.configure(Adaptive { min: 1, max: 2, tolerance: 2.0 });
    assert_eq!(gradient.limit(), 2);
}

#[test]
fn a_measurement_that_traffic_leaves_ends_by_itself() {
    let mut gradient = Gradient::new(BOUNDS);
    let mut now = answers(&mut gradient, START, 20, answer(10, 20));
    let low = gradient.limit();
    assert!(low < 20, "measuring at {low}");
    now += Duration::from_secs(60);
    gradient.answered(now, answer(10, 1));
    assert!(gradient.limit() >= 20, "{}", gradient.limit());
}
