//! Limits on invented time: what passes, what is refused and for how long, what a reload keeps.

use super::{RateLimiters, RateLimits, Refused, Who};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;
use std::time::Duration;
use stitch_config::model::{LimitKey, Rate, RateLimit};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn rule(id: &str, count: u32, burst: u32, by: Option<LimitKey>) -> RateLimit {
    let rate = Rate { count, per: SECOND };
    RateLimit { id: id.into(), rate, burst, by, keys: 100_000 }
}

fn by_key() -> Option<LimitKey> {
    Some(LimitKey::Header(HeaderName::from_static("x-key")))
}

/// Invented time and the limits that run on it.
struct World {
    registry: RateLimiters,
    began: Instant,
    elapsed: Duration,
}

impl World {
    fn new() -> Self {
        let began = Instant::now();
        Self { registry: RateLimiters::new(began), began, elapsed: Duration::ZERO }
    }

    fn pass(&mut self, time: Duration) {
        self.elapsed += time;
    }

    fn ask(&self, limits: &RateLimits, key: &str) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            headers.insert("x-key", HeaderValue::try_from(key).unwrap());
        }
        let who = Who { ip: None, headers: &headers, caller: None };
        limits.check(&who, self.began + self.elapsed)
    }

    /// How many of so many requests pass now.
    fn passing(&self, limits: &RateLimits, key: &str, requests: usize) -> usize {
        (0..requests).filter(|_| self.ask(limits, key).is_ok()).count()
    }
}

#[test]
fn a_burst_passes_and_then_one_each_interval() {
    let mut world = World::new();
    let limits = world.registry.keep(&[rule("a#1", 10, 3, None)]);
    assert_eq!(world.passing(&limits, "", 5), 3);
    let refused = world.ask(&limits, "").unwrap_err();
    assert_eq!((&*refused.id, refused.retry_after), ("a#1", Duration::from_millis(100)));
    world.pass(Duration::from_millis(99));
    assert_eq!(world.ask(&limits, "").unwrap_err().retry_after, Duration::from_millis(1));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.passing(&limits, "", 5), 1);
    world.pass(3600 * SECOND);
    assert_eq!(world.passing(&limits, "", 5), 3, "a full bucket is no fuller for waiting");
}

#[test]
fn ten_times_the_rate_for_a_minute_gets_the_rate() {
    for by in [None, by_key()] {
        let mut world = World::new();
        let limits = world.registry.keep(&[rule("a#1", 100, 20, by)]);
        let mut passed = 0;
        for _ in 0..60_000 {
            passed += world.passing(&limits, "k", 1);
            world.pass(Duration::from_millis(1));
        }
        assert_eq!(passed, 20 + 60 * 100 - 1);
    }
}

#[test]
fn keys_have_buckets_of_their_own_and_requests_without_one_share_theirs() {
    let world = World::new();
    let limits = world.registry.keep(&[rule("a#1", 1, 2, by_key())]);
    assert_eq!(world.passing(&limits, "one", 3), 2);
    assert_eq!(world.passing(&limits, "two", 3), 2);
    assert_eq!(world.passing(&limits, "", 3), 2);
    assert_eq!(world.registry.view()[0].keys, 3);
}

#[test]
fn clients_and_callers_are_told_apart() {
    let world = World::new();
    let headers = HeaderMap::new();
    let limits = world.registry.keep(&[
        rule("a#1", 1, 1, Some(LimitKey::ClientIp)),
        rule("a#2", 1, 1, Some(LimitKey::Caller)),
    ]);
    let ask = |ip: &str, caller| {
        let ip: IpAddr = ip.parse().unwrap();
        let who = Who { ip: Some(ip), headers: &headers, caller: Some(caller) };
        limits.check(&who, world.began).map_err(|refused| refused.id.to_string())
    };
    assert_eq!(ask("10.0.0.1", "web"), Ok(()));
    assert_eq!(ask("10.0.0.1", "api"), Err("a#1".to_owned()));
    assert_eq!(ask("10.0.0.2", "web"), Err("a#2".to_owned()));
    assert_eq!(ask("10.0.0.3", "api"), Ok(()));
}

#[test]
fn the_narrowest_is_asked_first_and_what_it_gave_stays_spent() {
    let mut world = World::new();
    let limits = world.registry.keep(&[
        rule("all#1", 1, 2, None),
        rule("key#2", 1, 3, by_key()),
        rule("all#3", 1, 1, None),
        rule("ip#4", 1, 3, Some(LimitKey::ClientIp)),
    ]);
    let order: Vec<_> = limits.ids().map(|id| &**id).collect();
    assert_eq!(order, ["key#2", "ip#4", "all#1", "all#3"]);
    let refused = |world: &World| world.ask(&limits, "k").map_err(|refused| refused.id.to_string());
    assert_eq!(refused(&world), Ok(()));
    assert_eq!(refused(&world), Err("all#3".to_owned()));
    assert_eq!(refused(&world), Err("all#1".to_owned()), "which gave its second to the last one");
    assert_eq!(refused(&world), Err("key#2".to_owned()), "which gave three");
    let counts: Vec<_> =
        world.registry.view().into_iter().map(|view| (view.allowed, view.refused)).collect();
    assert_eq!(counts, [(2, 1), (1, 1), (3, 0), (3, 1)], "all#1, all#3, ip#4, key#2");
    world.pass(SECOND);
    assert_eq!(refused(&world), Ok(()));
}

#[test]
fn a_reload_keeps_buckets_of_rules_that_did_not_change() {
    let mut world = World::new();
    let before = world.registry.keep(&[rule("a#1", 1, 5, None), rule("a#2", 1, 50, by_key())]);
    assert_eq!(world.passing(&before, "k", 9), 5);
    let after = world.registry.keep(&[rule("a#1", 1, 5, None), rule("a#2", 1, 50, by_key())]);
    assert_eq!(world.passing(&after, "k", 9), 0, "a#1 is as empty as it was");
    let changes = [
        RateLimit { burst: 6, ..rule("a#1", 1, 5, None) },
        RateLimit { rate: Rate { count: 2, per: SECOND }, ..rule("a#1", 1, 6, None) },
        RateLimit { by: by_key(), ..rule("a#1", 2, 6, None) },
        RateLimit { keys: 7, ..rule("a#1", 2, 6, by_key()) },
    ];
    for change in changes {
        let changed = world.registry.keep(&[change]);
        assert_eq!(world.passing(&changed, "k", 9), 6, "begins full");
    }
    assert_eq!(world.passing(&before, "k", 1), 0, "requests under the old one have its buckets");
    let view = &world.registry.view()[0];
    assert_eq!((view.allowed, view.refused), (5 + 4 * 6, 4 + 9 + 4 * 3 + 1), "totals go on");
    world.pass(SECOND);
    assert_eq!(world.passing(&before, "k", 9), 1);
}

#[test]
fn limits_with_one_id_are_one_limit() {
    let world = World::new();
    let of_users = world.registry.keep(&[rule("defaults#1", 1, 4, None)]);
    let of_orders = world.registry.keep(&[rule("defaults#1", 1, 4, None)]);
    assert_eq!(world.passing(&of_users, "", 3), 3);
    assert_eq!(world.passing(&of_orders, "", 3), 1);
}

#[test]
fn limits_that_nobody_uses_are_forgotten() {
    let world = World::new();
    let used = world.registry.keep(&[rule("a#1", 1, 2, None)]);
    let unused = world.registry.keep(&[rule("b#1", 1, 2, by_key())]);
    assert_eq!(world.passing(&unused, "", 9), 2);
    world.registry.retain();
    assert_eq!(world.registry.view().len(), 2, "both are held");
    drop(unused);
    world.registry.retain();
    let ids: Vec<_> = world.registry.view().into_iter().map(|view| view.id).collect();
    assert_eq!(ids, ["a#1".into()]);
    let again = world.registry.keep(&[rule("b#1", 1, 2, by_key())]);
    assert_eq!(world.passing(&again, "", 9), 2, "and begin anew");
    assert_eq!(world.passing(&used, "", 9), 2);
}

#[test]
fn threads_together_get_exactly_the_burst() {
    for by in [None, by_key()] {
        let world = World::new();
        let limits = world.registry.keep(&[rule("a#1", 1, 1000, by)]);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| world.passing(&limits, "k", 500))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
        let view = &world.registry.view()[0];
        assert_eq!((view.allowed, view.refused), (1000, 3000));
    }
}

/// A client that is told by its number asks.
fn as_client(world: &World, limits: &RateLimits, number: u32) -> bool {
    let ip = Some(IpAddr::from(number.to_be_bytes()));
    let who = Who { ip, headers: &HeaderMap::new(), caller: None };
    limits.check(&who, world.began + world.elapsed).is_ok()
}

#[test]
fn a_million_keys_stay_within_the_bound() {
    let mut world = World::new();
    let limits = world.registry.keep(&[rule("a#1", 1, 1, Some(LimitKey::ClientIp))]);
    for number in 0..1_000_000 {
        assert!(as_client(&world, &limits, number), "{number} has not asked before");
        world.pass(Duration::from_nanos(100));
    }
    let view = &world.registry.view()[0];
    assert!((95_000..=100_000).contains(&view.keys), "{} keys", view.keys);
    let known = (999_000..1_000_000).filter(|number| !as_client(&world, &limits, *number));
    assert_eq!(known.count(), 1000, "the last ones are remembered");
    assert!(as_client(&world, &limits, 0), "the first one is forgotten");
}

#[test]
fn a_limited_client_stays_limited_however_many_others_come() {
    let mut world = World::new();
    let limits = world.registry.keep(&[rule("a#1", 1, 2, Some(LimitKey::ClientIp))]);
    assert_eq!([0; 3].map(|_| as_client(&world, &limits, 0)), [true, true, false]);
    for number in 1..1_000_000 {
        assert!(as_client(&world, &limits, number), "{number} has not asked before");
        world.pass(Duration::from_nanos(100));
    }
    assert!(!as_client(&world, &limits, 0), "it was not driven out");
}

#[test]
fn a_clock_that_is_read_in_another_order_gives_nothing_away() {
    let mut world = World::new();
    world.pass(SECOND);
    let limits = world.registry.keep(&[rule("a#1", 1, 1, None)]);
    assert_eq!(world.passing(&limits, "", 1), 1);
    world.elapsed = Duration::from_millis(500);
    let refused = world.ask(&limits, "").unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_millis(1500));
}

#[test]
fn the_widest_rules_do_not_overflow() {
    let day = Duration::from_secs(24 * 3600);
    let mut world = World::new();
    for (count, per, burst) in
        [(1, day, u32::MAX), (u32::MAX, SECOND, u32::MAX), (u32::MAX, day, 1), (0, SECOND, 0)]
    {
        let id = format!("{count}/{}", per.as_secs());
        let rate = Rate { count, per };
        let limits =
            world.registry.keep(&[RateLimit { id: id.into(), rate, burst, by: None, keys: 0 }]);
        assert_eq!(world.passing(&limits, "", 1), 1);
        world.pass(400 * day);
        assert_eq!(world.passing(&limits, "", 1), 1);
        world.pass(SECOND);
    }
}

#[test]
fn a_view_is_as_it_was_written() {
    let world = World::new();
    let _limits = world.registry.keep(&[RateLimit { keys: 7, ..rule("a#1", 100, 20, by_key()) }]);
    let json = serde_json::to_value(world.registry.view()).unwrap();
    assert_eq!(
        json[0],
        serde_json::json!({
            "id": "a#1", "rate": "100/s", "burst": 20, "by": "header:x-key",
            "keys": 0, "max_keys": 7, "allowed": 0, "refused": 0,
        })
    );
}
