//! What one decision costs: a function per subject.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use stitch_config::model::{Balance, HashKey, Policies, Setting, Upstream};
use stitch_proxy::{Ask, EndpointSet};
use tokio::time::Instant;

fn balance(c: &mut Criterion) {
    let mut group = c.benchmark_group("balance");
    let now = Instant::now();
    let set = |n: u16, balance| {
        let policies = Policies { balance: Setting::On(balance), ..Policies::default() };
        let upstream = |port| Upstream {
            weight: 1 + u32::from(port % 7),
            ..Upstream::http("10.0.0.1", 1000 + port)
        };
        EndpointSet::new(
            "users".into(),
            (0..n).map(|port| (upstream(port), None)),
            &policies,
            None,
            now,
        )
    };
    let algorithms = [
        ("least_request", Balance::LeastRequest),
        ("round_robin", Balance::RoundRobin),
        ("random", Balance::Random),
        ("ewma", Balance::Ewma),
        ("hash", Balance::Hash(HashKey::ClientIp)),
        ("sticky", Balance::Sticky("at".to_owned())),
    ];
    let mut bench = |name: String, set: &EndpointSet, cookie: Option<&str>| {
        let mut random = fastrand::Rng::with_seed(1);
        group.bench_function(name, |b| {
            b.iter(|| {
                let (key, draw) = (Some(random.u64(..)), &mut |below| random.u64(..below));
                black_box(set.pick(Ask { key, sticky: cookie, avoid: &[], now, draw }))
            });
        });
    };
    bench("the only one".to_owned(), &set(1, Balance::LeastRequest), None);
    for (name, balance) in algorithms {
        let set = set(1000, balance);
        let first = set.pick(Ask { key: None, sticky: None, avoid: &[], now, draw: &mut |_| 0 });
        let cookie = first.and_then(|first| first.cookie);
        bench(format!("{name}, 1 of 1000"), &set, cookie.as_deref());
    }
    group.finish();
}

criterion_group!(policies, balance);
criterion_main!(policies);
