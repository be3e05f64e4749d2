//! What one decision costs: a function per subject.

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;
use stitch_config::model::{Concurrency, LimitKey, Rate, RateLimit};
use stitch_proxy::limit::bulkhead::Bulkhead;
use stitch_proxy::limit::rate::{RateLimiters, Who};
use tokio::time::Instant;

fn rate_limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate limit");
    let began = Instant::now();
    let registry = RateLimiters::new(began);
    let rule = |id: &str, by| RateLimit {
        id: id.into(),
        rate: Rate { count: 1_000_000, per: Duration::from_secs(1) },
        burst: 1_000_000,
        by,
        keys: 100_000,
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static("0f6c1a52-3a5e-4b7e-9d0e-5a1c2b3d4e5f"));
    let address = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
    let mut now = began;

    let mut bench = |name: &str, by, ip: &mut dyn FnMut() -> Option<IpAddr>| {
        let limits = registry.keep(&[rule(name, by)]);
        group.bench_function(name, |b| {
            b.iter(|| {
                now += Duration::from_micros(2);
                limits.check(black_box(&Who { ip: ip(), headers: &headers, caller: None }), now)
            });
        });
    };
    bench("one bucket", None, &mut || None);
    let header = LimitKey::Header(HeaderName::from_static("x-api-key"));
    bench("by header, one key", Some(header), &mut || None);
    bench("by client_ip, one key", Some(LimitKey::ClientIp), &mut || address(1));
    let mut number = 0_u32;
    bench("by client_ip, 10 000 keys in turn", Some(LimitKey::ClientIp), &mut || {
        number = (number + 7919) % 10_000;
        address(number)
    });
    bench("by client_ip, every key new", Some(LimitKey::ClientIp), &mut || {
        number = number.wrapping_add(1);
        address(number)
    });
    group.finish();
}

fn bulkheads(c: &mut Criterion) {
    let mut group = c.benchmark_group("bulkhead");
    let fixed = Concurrency::Fixed { max: 64, queue: 0, wait: Duration::from_secs(1) };
    let adaptive = Concurrency::Adaptive { min: 3, max: 1000, tolerance: 2.0 };
    for (name, settings) in [("fixed", fixed), ("adaptive", adaptive)] {
        let bulkhead = Bulkhead::keep(&settings, None);
        group.bench_function(format!("{name}: in, answered and out"), |b| {
            b.iter(|| {
                let place = black_box(&bulkhead).try_enter().expect("nobody else is in");
                place.answered(|| Duration::from_millis(1), false);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rate_limits, bulkheads);
criterion_main!(benches);
