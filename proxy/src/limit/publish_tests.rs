//! What the metrics hear of limits: names, labels, and each thing once.

use super::bulkhead::Bulkhead;
use super::rate::{RateLimiters, Who};
use crate::testing::Series;
use http::HeaderMap;
use std::time::Duration;
use stitch_config::model::{Concurrency, LimitKey, Rate, RateLimit};
use tokio::time::Instant;

fn rule(burst: u32) -> RateLimit {
    RateLimit {
        id: "users#1".into(),
        rate: Rate { count: 1, per: Duration::from_secs(1) },
        burst,
        by: Some(LimitKey::Caller),
        keys: 10,
    }
}

#[test]
fn rate_limits_tell_outcomes_and_keys_over_reloads() {
    let series = Series::default();
    let now = Instant::now();
    let registry = RateLimiters::new(now);
    let headers = HeaderMap::new();
    let who = |caller| Who { ip: None, headers: &headers, caller: Some(caller) };
    let expect = |allowed: u64, refused: u64, keys: f64| {
        let counters = series.counters("stitch_rate_limit_requests_total");
        let name = |outcome: &str| {
            format!("stitch_rate_limit_requests_total{{limit=users#1,outcome={outcome}}}")
        };
        assert_eq!(counters, [(name("allowed"), allowed), (name("refused"), refused)]);
        assert!((series.gauge("stitch_rate_limit_keys{limit=users#1}") - keys).abs() < 0.1);
    };
    metrics::with_local_recorder(&series, || {
        let limits = registry.keep(&[rule(2)]);
        for caller in ["web", "web", "web", "api"] {
            let _ = limits.check(&who(caller), now);
        }
        registry.publish();
        registry.publish();
        expect(3, 1, 2.0);

        let changed = registry.keep(&[rule(1)]);
        let _ = (changed.check(&who("web"), now), limits.check(&who("web"), now));
        registry.publish();
        expect(4, 2, 1.0);

        let _ = changed.check(&who("api"), now);
        drop((limits, changed));
        registry.retain();
        expect(5, 2, 0.0);
    });
}

#[test]
fn bulkheads_tell_how_full_they_are() {
    let series = Series::default();
    let settings = Concurrency::Fixed { max: 1, queue: 0, wait: Duration::from_secs(1) };
    let bulkhead = Bulkhead::keep(&settings, None);
    let _place = bulkhead.try_enter().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(bulkhead.enter()).is_err());
    metrics::with_local_recorder(&series, || {
        bulkhead.publish("users", "users@api");
        bulkhead.publish("users", "users@api");
    });
    for (name, value) in [("in_flight", 1.0), ("limit", 1.0), ("queued", 0.0)] {
        let told =
            series.gauge(&format!("stitch_concurrency_{name}{{service=users,policy=users@api}}"));
        assert!((told - value).abs() < 0.1, "{name} is {told}");
    }
    let rejected = series.counters("stitch_concurrency_rejected_total");
    assert_eq!(
        rejected,
        [("stitch_concurrency_rejected_total{service=users,policy=users@api}".to_owned(), 1)]
    );
}
