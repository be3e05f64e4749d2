//! A breaker from its first failure to its last probe: how many calls reach the service, and what
//! those get that do not.

use super::watched::{
    Events, PATIENCE, REFUSED, Service, at_once, between, breaker, shift, state, statuses, told,
    wait_for,
};
use super::{ask, get, in_front_of, metric};
use std::time::Duration;
use stitch_kit::{Answer, Stitch, Upstream, wait_until};

/// A service that fails, and a breaker that has seen three failures and is open.
fn opened(keys: &str) -> (Service, Stitch) {
    let service = Service::start();
    let stitch =
        in_front_of(&service.upstream, &format!("    breaker: {{ consecutive: 3, {keys} }}\n"));
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    assert_eq!(service.asked(), 3);
    (service, stitch)
}

#[test]
fn it_opens_after_so_many_failures_in_a_row_and_refuses_by_itself() {
    let service = Service::start();
    let stitch = in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 60s }\n");
    for status in [500, 502, 200, 503, 504] {
        service.is(status);
        assert_eq!(told(&get(&stitch)), (status, "real", "-"));
    }
    assert_eq!(state(&stitch, "users"), "closed", "a good one was in between");
    service.is(500);
    assert_eq!(get(&stitch).status, 500);
    for _ in 0..20 {
        let answer = get(&stitch);
        assert_eq!(told(&answer), REFUSED);
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!((&problem["breaker"], &problem["service"]), (&"users".into(), &"users".into()));
        assert_eq!((&problem["reason"], &problem["status"]), (&"breaker_open".into(), &503.into()));
        assert!(problem["detail"].as_str().unwrap().contains("the breaker users is open"));
        assert!(problem["hint"].as_str().unwrap().contains("/api/breakers/users"), "{problem}");
    }
    assert_eq!(service.asked(), 6, "nothing reached it once it was open");
    let calls = &breaker(&stitch, "users")["calls"];
    assert_eq!((&calls["failure"], &calls["not_permitted"]), (&5.into(), &20.into()), "{calls}");
}

#[test]
fn it_gets_half_open_by_time_alone() {
    let (service, stitch) = opened("open: 300ms");
    wait_for(&stitch, "users", "half_open");
    let mut events = Events::after(&stitch, 0);
    let (open, half_open) = (events.next(), events.next());
    assert_eq!(shift(&open), ["closed", "open", "consecutive"]);
    assert_eq!(shift(&half_open), ["open", "half_open", "timer"]);
    let took = between(&open["at"], &half_open["at"]);
    assert!((299..2000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(service.asked(), 3, "nobody called");
}

#[test]
fn no_more_probes_than_allowed_are_under_way_whoever_asks() {
    let (service, stitch) = opened("open: 200ms, probes: 2");
    wait_for(&stitch, "users", "half_open");
    service.is(200);
    service.hold("/");
    let answers = at_once(&stitch, 30, "/");
    for _ in 0..28 {
        let refused = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told(&refused), REFUSED);
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert!(wait_until(PATIENCE, || service.at_once() == 2), "{}", service.at_once());
    let probes = &breaker(&stitch, "users")["probes"];
    assert_eq!((&probes["in_flight"], &probes["good"]), (&2.into(), &0.into()));
    service.let_go();
    for _ in 0..2 {
        assert_eq!(answers.recv_timeout(PATIENCE).unwrap().status, 200);
    }
    wait_for(&stitch, "users", "closed");
    assert_eq!((service.asked(), service.most()), (3 + 2, 2));
}

#[test]
fn good_probes_close_it_and_the_past_is_forgotten() {
    let (service, stitch) = opened("open: 200ms, probes: 3");
    wait_for(&stitch, "users", "half_open");
    service.is(200);
    assert_eq!(statuses(&stitch, 2), [200; 2]);
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["probes"]["good"]), (&"half_open".into(), &2.into()));
    assert_eq!(get(&stitch).status, 200);
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["n"]), (&"closed".into(), &0.into()));
    assert_eq!((&seen["window"]["calls"], &seen["consecutive"]), (&0.into(), &0.into()));
    service.is(503);
    assert_eq!(statuses(&stitch, 2), [503; 2]);
    assert_eq!(state(&stitch, "users"), "closed", "it takes three again");
}

#[test]
fn each_bad_probe_makes_the_open_time_longer() {
    let (service, stitch) = opened("open: 200ms, open_factor: 3");
    let mut events = Events::after(&stitch, 0);
    for (n, cause, lasts) in [(1, "consecutive", 200), (2, "probe", 600), (3, "probe", 1800)] {
        let (open, half_open) = (events.next(), events.next());
        assert_eq!((shift(&open)[1..].to_vec(), &open["n"]), (vec!["open", cause], &n.into()));
        assert_eq!(shift(&half_open), ["open", "half_open", "timer"]);
        let took = between(&open["at"], &half_open["at"]).as_millis();
        assert!((lasts - 1..lasts + 1000).contains(&took), "{took} ms in place of {lasts}");
        assert_eq!(told(&get(&stitch)), (503, "real", "-"));
    }
    assert_eq!(service.asked(), 3 + 3, "one probe each");
    let counted = |cause| {
        let labels = ["from=\"half_open\"", "to=\"open\"", cause];
        metric(&stitch, "stitch_circuit_breaker_transitions_total", &labels)
    };
    assert!(counted("cause=\"probe\"").eq(&3.0));
}

#[test]
fn without_a_verdict_in_time_it_opens_again() {
    let (service, stitch) = opened("open: 200ms, half_open_timeout: 300ms, probes: 1");
    let mut events = Events::after(&stitch, 0);
    let half_open = events.until("half_open");
    service.hold("/");
    let late = at_once(&stitch, 1, "/");
    let open = events.until("open");
    assert_eq!(shift(&open), ["half_open", "open", "half_open_timeout"]);
    let took = between(&half_open["at"], &open["at"]);
    assert!((299..2000).contains(&took.as_millis()), "{took:?}");
    service.let_go();
    // The probe itself goes on, if it was one; its result moves nothing.
    assert_eq!(late.recv_timeout(PATIENCE).unwrap().status, 503);
}

#[test]
fn a_share_of_failures_opens_it_once_there_were_calls_enough() {
    let service = Service::start();
    let stitch = in_front_of(
        &service.upstream,
        "    breaker: { consecutive: 0, failure_rate: 40%, min_calls: 10, window: 60s, open: 60s }\n",
    );
    let mut events = Events::after(&stitch, 0);
    for (status, times) in [(503, 4), (200, 5)] {
        service.is(status);
        assert_eq!(statuses(&stitch, times), vec![status; times]);
    }
    let window = &breaker(&stitch, "users")["window"];
    assert_eq!((&window["calls"], &window["failures"]), (&9.into(), &4.into()));
    assert_eq!(state(&stitch, "users"), "closed", "44 %, but of nine calls");
    assert_eq!(get(&stitch).status, 200, "the tenth makes it 40 %");
    let open = events.next();
    assert_eq!((shift(&open), &open["rate"]), (["closed", "open", "failure_rate"], &0.4.into()));
    assert_eq!(told(&get(&stitch)), REFUSED);
    assert_eq!(service.asked(), 10);
}

#[test]
fn slow_calls_open_it_and_a_slow_probe_is_a_bad_one() {
    let upstream = Upstream::http(|request| match request.path() {
        "/slow" => Answer::new(200, "late").after(Duration::from_millis(1200)),
        _ => Answer::new(200, "quick"),
    });
    let stitch = in_front_of(
        &upstream,
        "    breaker: { slow: { over: 700ms, rate: 50% }, min_calls: 4, window: 60s, open: 200ms }\n",
    );
    let mut events = Events::after(&stitch, 0);
    let slow = |count: usize| {
        let answers = at_once(&stitch, count, "/slow");
        for _ in 0..count {
            assert_eq!(answers.recv_timeout(PATIENCE).unwrap().status, 200);
        }
    };
    assert_eq!(statuses(&stitch, 2), [200; 2]);
    slow(2);
    let open = events.next();
    assert_eq!((shift(&open), &open["rate"]), (["closed", "open", "slow_rate"], &0.5.into()));
    assert_eq!(shift(&events.next())[1], "half_open");
    slow(1);
    assert_eq!(shift(&events.next()), ["half_open", "open", "probe"]);
    assert_eq!(upstream.requests().len(), 5);
}

#[test]
fn calls_that_were_let_through_before_it_opened_go_on() {
    let service = Service::start();
    service.hold("/held");
    let stitch = in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 60s }\n");
    let held = at_once(&stitch, 5, "/held");
    assert!(wait_until(PATIENCE, || service.at_once() == 5));
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    assert_eq!(told(&get(&stitch)), REFUSED);
    service.is(200);
    service.let_go();
    for _ in 0..5 {
        assert_eq!(told(&held.recv_timeout(PATIENCE).unwrap()), (200, "real", "-"));
    }
    let seen = breaker(&stitch, "users");
    assert_eq!(seen["state"], "open", "their results move nothing");
    assert_eq!(seen["calls"]["success"], 5, "and are counted");
    assert_eq!(service.asked(), 5 + 3);
}

#[test]
fn retries_end_when_it_opens_between_them() {
    let service = Service::start();
    service.is(503);
    let stitch = in_front_of(
        &service.upstream,
        "    retry: { retries: 10, backoff: 1ms..1ms }\n    breaker: { consecutive: 3 }\n",
    );
    let answer = get(&stitch);
    assert_eq!(told(&answer), REFUSED);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(service.asked(), 3, "one request, which would have been eleven calls");
    assert_eq!(told(&get(&stitch)), REFUSED);
    assert_eq!(service.asked(), 3);
}

#[test]
fn the_mock_answers_for_an_open_breaker_in_real_then_mock() {
    let service = Service::start();
    service.is(503);
    let stitch = in_front_of(
        &service.upstream,
        "    mode: real-then-mock\n    breaker: { consecutive: 3 }\n    endpoints: [{ path: /a, response: mocked }]\n",
    );
    for _ in 0..3 {
        assert_eq!(told(&get(&stitch)), (503, "real", "-"));
    }
    for _ in 0..5 {
        let answer = get(&stitch);
        assert_eq!(told(&answer), (200, "mock", "breaker_open"));
        assert_eq!(answer.text(), "mocked");
    }
    assert_eq!(service.asked(), 3);
    assert_eq!(told(&ask(&stitch, "DELETE", &[], "")), REFUSED, "of which the mock knows nothing");
}

#[test]
fn the_fallback_answers_for_an_open_breaker() {
    let service = Service::start();
    service.is(503);
    let stitch = in_front_of(
        &service.upstream,
        "    breaker: { consecutive: 3 }\n    fallback: { status: 203, body: { users: [] } }\n",
    );
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    let answer = get(&stitch);
    assert_eq!(told(&answer), (203, "fallback", "breaker_open"));
    assert_eq!(answer.json()["users"], serde_json::json!([]));
    assert_eq!(service.asked(), 3);
}

#[test]
fn a_route_has_a_breaker_of_its_own_that_leaves_the_services_alone() {
    let service = Service::start();
    let stitch = Stitch::up(&format!(
        "services:\n  users: {{ url: '{}', breaker: {{ consecutive: 3 }} }}\nroutes:\n  \
         - {{ match: /api/**, to: users, breaker: {{ consecutive: 2 }} }}\n  \
         - {{ match: /free/**, to: users, breaker: false }}\n  - {{ match: /**, to: users }}\n",
        service.upstream.url()
    ));
    let get = |path| stitch_kit::http::get(stitch.proxy(), path, &[]);
    let all = stitch_kit::http::get(stitch.admin(), "/api/breakers", &[]).json();
    let ids: Vec<_> = all["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    let [users, route] = ids[..] else { panic!("{all}") };
    let route = route.as_str().unwrap();
    assert!(users == "users" && route.starts_with("users@"), "{all}");
    service.is(503);
    for _ in 0..10 {
        assert_eq!(told(&get("/free/a")), (503, "real", "-"), "it has none");
    }
    for _ in 0..2 {
        assert_eq!(told(&get("/api/a")).1, "real");
    }
    let refused = get("/api/a");
    assert_eq!((told(&refused), &refused.json()["breaker"]), (REFUSED, &route.into()));
    assert_eq!((state(&stitch, route), state(&stitch, "users")), ("open".into(), "closed".into()));
    for _ in 0..3 {
        assert_eq!(told(&get("/a")).1, "real");
    }
    assert_eq!(told(&get("/a")), REFUSED);
    assert_eq!(service.asked(), 10 + 2 + 3);
}
