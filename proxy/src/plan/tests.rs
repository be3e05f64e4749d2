//! What the plans of routes share with those of their services, and what they keep over reloads.

use super::{Governing, Plan};
use crate::snapshot::Snapshot;
use crate::testing::{Series, snapshot};
use std::sync::Arc;

/// A service with these policies, and a route to it with those.
fn file(service: &str, route: &str) -> String {
    format!(
        "services:\n  a: {{ url: 'http://127.0.0.1:1', {service} }}\n\
         routes:\n  - {{ match: /r, to: a, {route} }}\n"
    )
}

fn of_service(snapshot: &Snapshot) -> &Governing {
    snapshot.services[0].plan.governing.as_deref().unwrap()
}

fn of_route(snapshot: &Snapshot) -> &Governing {
    let plan: Vec<&Arc<Plan>> = snapshot.plans.values().collect();
    assert_eq!(plan.len(), 1);
    plan[0].governing.as_deref().unwrap()
}

const POLICIES: &str = "retry: 2, breaker: true, concurrency: { max: 4 }";

#[test]
fn a_route_that_writes_a_timeout_shares_everything_else() {
    let snapshot = snapshot(&file(POLICIES, "timeout: 1s"), None);
    let (service, route) = (of_service(&snapshot), of_route(&snapshot));
    assert!(Arc::ptr_eq(service.breaker.as_ref().unwrap(), route.breaker.as_ref().unwrap()));
    assert!(Arc::ptr_eq(service.bulkhead.as_ref().unwrap(), route.bulkhead.as_ref().unwrap()));
    let states = [service, route].map(|one| &one.retries.as_ref().unwrap().state);
    assert!(Arc::ptr_eq(states[0], states[1]));
}

#[test]
fn a_route_that_writes_a_policy_after_a_reload_leaves_its_services_alone() {
    let before = snapshot(&file(POLICIES, "timeout: 1s"), None);
    let own = "timeout: 1s, retry: 1, breaker: { consecutive: 1 }, concurrency: { max: 1 }";
    let after = snapshot(&file(POLICIES, own), Some(&before));
    let (service, route) = (of_service(&after), of_route(&after));
    let limits = [service, route].map(|one| one.bulkhead.as_ref().unwrap().view().limit);
    assert_eq!(limits, [4, 1]);
    let states = [service, route].map(|one| &one.retries.as_ref().unwrap().state);
    assert!(!Arc::ptr_eq(states[0], states[1]), "each has a budget of its own");
    assert!(!Arc::ptr_eq(service.breaker.as_ref().unwrap(), route.breaker.as_ref().unwrap()));
    let again = snapshot(&file(POLICIES, own), Some(&after));
    for (one, other) in [(service, of_service(&again)), (route, of_route(&again))] {
        let same = |this: &Governing, that: &Governing| {
            Arc::ptr_eq(this.bulkhead.as_ref().unwrap(), that.bulkhead.as_ref().unwrap())
                && Arc::ptr_eq(this.breaker.as_ref().unwrap(), that.breaker.as_ref().unwrap())
        };
        assert!(same(one, other), "both go on over a reload that changes nothing");
    }
}

#[test]
fn what_a_route_shares_is_told_once() {
    let told = |route: &str| {
        let snapshot = snapshot(&file(POLICIES, route), None);
        let place = of_service(&snapshot).bulkhead.as_ref().unwrap().try_enter().unwrap();
        let series = Series::default();
        metrics::with_local_recorder(&series, || snapshot.publish_plans());
        drop(place);
        let all = series.counters("stitch_");
        let of = |name: &str| all.iter().filter(|(series, _)| series.starts_with(name)).count();
        (of("stitch_concurrency_in_flight{"), of("stitch_retries_total{"))
    };
    assert_eq!(told("timeout: 1s"), (1, 4));
    assert_eq!(told("retry: 1, concurrency: { max: 1 }"), (2, 8));
}

#[test]
fn a_bulkhead_that_a_reload_took_away_is_not_full_for_ever() {
    let series = Series::default();
    let gauge = |name: &str, policy: &str| {
        series.gauge(&format!("stitch_concurrency_{name}{{service=a,policy={policy}}}"))
    };
    metrics::with_local_recorder(&series, || {
        let before = snapshot(&file(POLICIES, "concurrency: { max: 9 }"), None);
        let _places = [of_service(&before), of_route(&before)]
            .map(|one| one.bulkhead.as_ref().unwrap().try_enter().unwrap());
        before.publish_plans();
        let id = before.plans.values().next().unwrap().id.to_string();
        let full = |policy: &str| [gauge("in_flight", policy), gauge("limit", policy)];
        assert_eq!((full("a"), full(&id)), ([1.0, 4.0], [1.0, 9.0]));
        let after = snapshot(&file("retry: 2", "concurrency: { max: 9 }"), Some(&before));
        after.publish_plans();
        assert_eq!((full("a"), full(&id)), ([0.0, 0.0], [1.0, 9.0]));
        let last = snapshot(&file(POLICIES, "retry: 1"), Some(&after));
        last.publish_plans();
        assert_eq!((full("a"), full(&id)), ([0.0, 4.0], [0.0, 0.0]));
    });
}
