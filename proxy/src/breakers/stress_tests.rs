//! Many threads at one breaker: places are counted exactly.

use super::Breaker;
use super::transitions::Transitions;
use crate::policy::breaker::{State, Verdict};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use stitch_config::model;
use tokio::time::Instant;

const THREADS: u32 = 8;

/// Runs the same on many threads at once.
fn together(work: impl Fn(u32) + Sync) {
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(thread);
            });
        }
    });
}

fn half_open(probes: u32) -> (Arc<Breaker>, Instant) {
    let settings = model::Breaker { probes, ..model::Breaker::default() };
    let start = Instant::now();
    let transitions = Arc::new(Transitions::default());
    let breaker = Breaker::new("a".into(), "a".into(), &settings, start, transitions);
    for _ in 0..5 {
        breaker.admit(start).unwrap().settle(Verdict::Failure, Duration::ZERO, start);
    }
    let now = start + settings.open;
    breaker.advance(now);
    assert_eq!(breaker.state(), State::HalfOpen);
    (breaker, now)
}

#[test]
fn never_more_probes_than_allowed_are_out_and_every_place_comes_back() {
    const ROUNDS: u32 = 20_000;
    let probes = 3;
    let (breaker, now) = half_open(probes);
    let (out, most) = (AtomicU32::new(0), AtomicU32::new(0));
    let (admitted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    together(|thread| {
        for round in 0..ROUNDS {
            let Ok(permit) = breaker.admit(now) else {
                refused.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if round % 16 == 0 {
                thread::yield_now();
            }
            admitted.fetch_add(1, Ordering::Relaxed);
            out.fetch_sub(1, Ordering::SeqCst);
            match (round + thread) % 2 {
                0 => drop(permit),
                _ => permit.settle(Verdict::Ignored, Duration::ZERO, now),
            }
        }
    });
    assert!((1..=probes).contains(&most.into_inner()));
    let view = breaker.view(now);
    assert_eq!((view.state, view.probes.in_flight, view.probes.good), (State::HalfOpen, 0, 0));
    assert_eq!(view.calls.ignored, admitted.into_inner());
    assert_eq!(view.calls.not_permitted, refused.into_inner());
    assert_eq!(view.calls.ignored + view.calls.not_permitted, u64::from(ROUNDS * THREADS));
}

#[test]
fn as_many_probes_as_allowed_are_let_through_at_once() {
    let probes = 5;
    let (breaker, now) = half_open(probes);
    let admitted = AtomicU32::new(0);
    let held = std::sync::Mutex::new(Vec::new());
    together(|_| {
        if let Ok(permit) = breaker.admit(now) {
            admitted.fetch_add(1, Ordering::Relaxed);
            held.lock().unwrap().push(permit);
        }
    });
    assert_eq!(admitted.into_inner(), probes);
    drop(held);
    assert_eq!(breaker.view(now).probes.in_flight, 0);
}

#[test]
fn counts_are_exact_under_many_threads() {
    const ROUNDS: u32 = 20_000;
    let settings = model::Breaker { consecutive: None, ..model::Breaker::default() };
    let settings = model::Breaker { failure_rate: Some(0.6), ..settings };
    let now = Instant::now();
    let transitions = Arc::new(Transitions::default());
    let breaker = Breaker::new("a".into(), "a".into(), &settings, now, transitions.clone());
    // Enough good ones first, so that no order of what follows reaches the threshold.
    for _ in 0..ROUNDS * THREADS {
        breaker.admit(now).unwrap().settle(Verdict::Success, Duration::ZERO, now);
    }
    together(|_| {
        for round in 0..ROUNDS {
            let verdict = if round % 2 == 0 { Verdict::Success } else { Verdict::Failure };
            breaker.admit(now).unwrap().settle(verdict, Duration::ZERO, now);
        }
    });
    let (calls, half) = (ROUNDS * THREADS, u64::from(ROUNDS * THREADS / 2));
    let view = breaker.view(now);
    assert_eq!((view.calls.success, view.calls.failure), (u64::from(calls) + half, half));
    assert_eq!((view.window.calls, u64::from(view.window.failures)), (2 * calls, half));
    assert!(transitions.recent().is_empty());
}
