//! What `retry` and the timers of attempts mean.

use super::config;
use std::time::Duration;
use stitch_config::model::{HedgeAfter, Retry, RetryOn, Setting};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_number_is_so_many_retries_with_the_defaults() {
    let config = config("services: { a: { url: http://a:1, retry: 3 } }");
    let retry = Retry { retries: 3, ..Retry::default() };
    assert_eq!(config.services[0].policies.retry, Setting::On(retry.clone()));
    assert_eq!(retry.on.statuses, [502, 503, 504]);
    assert!(retry.on.connect && retry.on.reset && retry.on.timeout && !retry.on.all_5xx);
    assert!(retry.budget.eq(&0.2));
}

#[test]
fn a_map_says_the_rest() {
    let config = config(
        "services: { a: { url: http://a:1, retry: { retries: 2, on: [5xx, 429, UNAVAILABLE], \
         backoff: 100ms..5s, budget: 50%, unsafe: true, hedge: { after: p95, max: 2 } } } }",
    );
    let retry = config.services[0].policies.retry.get().unwrap();
    let on = RetryOn {
        connect: false,
        reset: false,
        timeout: false,
        statuses: vec![429],
        all_5xx: true,
        grpc: vec![14],
    };
    assert_eq!(retry.on, on);
    assert_eq!(retry.backoff, (SECOND / 10, 5 * SECOND));
    assert!(retry.repeats_unsafe && retry.budget.eq(&0.5));
    let hedge = retry.hedge.unwrap();
    assert_eq!((hedge.after, hedge.max), (HedgeAfter::Percentile(0.95), 2));
}

#[test]
fn it_is_inherited_as_a_whole_and_can_be_switched_off() {
    let config = config(
        "{ defaults: { retry: 2 }, services: { a: { url: http://a:1 }, \
         b: { url: http://b:1, retry: none }, c: { url: http://c:1, retry: 0 } }, \
         routes: [{ match: /a, to: a, retry: { hedge: { after: 50ms } } }, { match: /b, to: b }] }",
    );
    let of = |index: usize| config.services[index].policies.retry.clone();
    assert_eq!(of(0).get().unwrap().retries, 2);
    assert_eq!((of(1), of(2)), (Setting::Off, Setting::Off));
    let route = config.routes[0].policies.over(&config.services[0].policies);
    let retry = route.retry.get().unwrap();
    assert_eq!(retry.retries, 0);
    assert_eq!(retry.hedge.unwrap().after, HedgeAfter::Delay(SECOND / 20));
    assert_eq!(config.routes[1].policies.retry, Setting::Inherited);
}

#[test]
fn timers_of_attempts_come_from_the_service_unless_the_route_has_its_own() {
    let config = config(
        "{ services: { a: { url: http://a:1, timeout: { first_byte: 2s, per_try: 3s, request: 9s } } }, \
         routes: [{ match: /a, to: a, timeout: { per_try: 1s } }] }",
    );
    let merged = config.routes[0].timeout.over(config.services[0].timeout);
    assert_eq!(merged.first_byte, Some(2 * SECOND));
    assert_eq!((merged.per_try, merged.request), (Some(SECOND), Some(9 * SECOND)));
}
