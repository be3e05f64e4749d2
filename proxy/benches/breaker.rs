//! What one decision costs: a function per subject.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model;
use stitch_proxy::breaker::{Mode, Verdict};
use stitch_proxy::{Breaker, Breakers};
use tokio::time::Instant;

/// Leave to make a call, and its verdict; nobody else at the lock.
fn breaker(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker");
    let (breakers, took) = (Breakers::default(), Duration::from_millis(1));
    let slow = Some(model::Slow { over: Duration::from_secs(1), rate: 1.0 });
    let settings = model::Breaker { slow, ..model::Breaker::default() };
    let mut now = Instant::now();
    let mut call = |breaker: &Arc<Breaker>, verdict| {
        now += Duration::from_micros(2);
        let permit = breaker.admit(black_box(now)).expect("it is closed");
        permit.settle(black_box(verdict), took, now);
    };
    let closed = breakers.keep("closed", "a", &settings, Instant::now());
    group.bench_function("admit and settle", |b| {
        b.iter(|| call(&closed, Verdict::Success));
    });
    group.bench_function("admit and settle, none", |b| {
        b.iter(|| call(&closed, Verdict::Ignored));
    });
    let disabled = breakers.keep("disabled", "a", &settings, Instant::now());
    disabled.set_mode(Mode::Disabled, None, None, Instant::now());
    group.bench_function("admit and settle, disabled", |b| {
        b.iter(|| call(&disabled, Verdict::Success));
    });
    let open = breakers.keep("open", "a", &settings, Instant::now());
    open.set_mode(Mode::ForcedOpen, None, None, Instant::now());
    let now = Instant::now();
    group.bench_function("refused", |b| b.iter(|| open.admit(black_box(now)).is_err()));
    group.finish();
}

criterion_group!(benches, breaker);
criterion_main!(benches);
