//! `/api/breakers` while there is traffic: what breakers are, what they are told to be, and every
//! change as it happens.

use super::watched::{
    Events, PATIENCE, REFUSED, Service, between, breaker, set_mode, shift, state, statuses, told,
    wait_for,
};
use super::{get, in_front_of};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stitch_kit::{Exit, Run, Running, Signal, Stitch, http, wait_until};

const STATES: [&str; 7] =
    ["closed", "open", "half_open", "forced_open", "forced_closed", "disabled", "metrics_only"];

/// A service and a breaker that opens after three failures.
fn watched() -> (Service, Stitch) {
    let service = Service::start();
    let stitch = in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 60s }\n");
    (service, stitch)
}

fn reset(stitch: &Stitch, id: &str) -> Value {
    let answer = http::send(stitch.admin(), "POST", &format!("/api/breakers/{id}/reset"), &[], b"");
    assert_eq!(answer.status, 200);
    answer.json()["data"].take()
}

/// wrk on the service `users` until it is dropped.
fn load(stitch: &Stitch) -> Running {
    let url = format!("{}/a", stitch.proxy_url());
    Run::tool("wrk").args(["-t1", "-c32", "-d120s", "-H", "Host: users"]).arg(url).spawn()
}

/// The states of a breaker that `/metrics` has, and what each is.
fn state_set(stitch: &Stitch, id: &str) -> Vec<(String, bool)> {
    let text = http::get(stitch.admin(), "/metrics", &[]).text();
    let prefix =
        format!("stitch_circuit_breaker_state{{service=\"users\",breaker=\"{id}\",state=\"");
    let rest = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    let one = |rest: &str| {
        let (state, value) = rest.split_once("\"} ").unwrap();
        assert!(["0", "1"].contains(&value), "{rest}");
        (state.to_owned(), value == "1")
    };
    rest.map(one).collect()
}

#[track_caller]
fn metrics_say(stitch: &Stitch, state: &str) {
    let set = state_set(stitch, "users");
    assert_eq!(set.len(), STATES.len(), "{set:?}");
    assert!(STATES.iter().all(|one| set.contains(&((*one).to_owned(), *one == state))), "{set:?}");
}

#[test]
fn all_and_one_are_shown_with_what_they_saw() {
    let service = Service::start();
    let url = service.upstream.url();
    let stitch = Stitch::up(&format!(
        "services:\n  users: {{ url: '{url}', breaker: {{ window: 60s }} }}\n  \
         shop: {{ url: '{url}', breaker: {{ consecutive: 1, open: 60s }} }}\n  none: {{ url: '{url}' }}\n"
    ));
    service.is(503);
    assert_eq!(http::get(stitch.proxy(), "/", &[("host", "shop")]).status, 503);
    service.is(200);
    assert_eq!(statuses(&stitch, 4), [200; 4]);
    let all = http::get(stitch.admin(), "/api/breakers", &[]).json()["data"].take();
    assert_eq!(all, json!([breaker(&stitch, "shop"), breaker(&stitch, "users")]));
    let (shop, users) = (&all[0], &all[1]);
    assert_eq!(
        (&shop["mode"], &shop["state"], &shop["n"]),
        (&"auto".into(), &"open".into(), &1.into())
    );
    assert!(shop["until"].is_string() && users.get("until").is_none(), "{all}");
    assert_eq!((&users["state"], &users["window"]["calls"]), (&"closed".into(), &4.into()));
    assert_eq!((&users["calls"]["success"], &shop["calls"]["failure"]), (&4.into(), &1.into()));
    let missing = http::get(stitch.admin(), "/api/breakers/none", &[]);
    assert_eq!(missing.status, 404);
}

#[test]
fn every_mode_does_what_it_says_until_it_is_taken_back() {
    let (service, stitch) = watched();
    let mut events = Events::after(&stitch, 0);
    service.is(503);
    for (mode, shown, passed) in [
        ("forced_open", "forced_open", 0),
        ("isolated", "forced_open", 0),
        ("forced_closed", "forced_closed", 10),
        ("metrics_only", "metrics_only", 10),
        ("disabled", "disabled", 10),
        ("auto", "closed", 3),
    ] {
        let body = json!({ "mode": mode, "reason": "drill" }).to_string();
        let answer = set_mode(&stitch, "users", &body);
        assert_eq!((answer.status, &answer.json()["data"]["state"]), (200, &shown.into()));
        if mode != "isolated" {
            let event = events.next();
            assert_eq!((&event["to"], &event["cause"]), (&shown.into(), &"manual".into()));
            assert_eq!(event["reason"], "drill");
        }
        let before = service.asked();
        metrics_say(&stitch, shown);
        for number in 0..10 {
            let answer = get(&stitch);
            let expected = if number < passed { (503, "real", "-") } else { REFUSED };
            assert_eq!(told(&answer), expected, "{mode}");
        }
        assert_eq!(service.asked() - before, passed, "{mode}");
        if mode == "metrics_only" {
            let event = events.next();
            assert_eq!(shift(&event), ["metrics_only", "metrics_only", "consecutive"]);
        }
    }
    assert_eq!(shift(&events.next()), ["closed", "open", "consecutive"]);
    metrics_say(&stitch, "open");
}

#[test]
fn a_mode_with_a_time_reverts_by_itself() {
    let (service, stitch) = watched();
    let mut events = Events::after(&stitch, 0);
    for (mode, status) in
        [("forced_open", 503), ("forced_closed", 200), ("disabled", 200), ("metrics_only", 200)]
    {
        let body = json!({ "mode": mode, "ttl": "700ms", "reason": "drill" }).to_string();
        let shown = set_mode(&stitch, "users", &body).json()["data"].take();
        assert_eq!((&shown["mode"], &shown["reason"]), (&mode.into(), &"drill".into()));
        assert!(shown["reverts_at"].is_string(), "{shown}");
        let answer = get(&stitch);
        // Where a drill is over before the question, the service itself has answered.
        if breaker(&stitch, "users")["mode"] == mode {
            assert_eq!(answer.status, status, "{mode}");
        }
        let (set, back) = (events.next(), events.next());
        assert_eq!(shift(&set), ["closed", mode, "manual"]);
        assert_eq!(shift(&back), [mode, "closed", "ttl"]);
        let took = between(&set["at"], &back["at"]);
        assert!((699..3000).contains(&took.as_millis()), "{took:?}");
        let seen = breaker(&stitch, "users");
        assert_eq!((&seen["mode"], &seen["state"]), (&"auto".into(), &"closed".into()));
        assert!(seen.get("reverts_at").is_none() && seen.get("reason").is_none(), "{seen}");
        assert_eq!(get(&stitch).status, 200, "{mode}");
    }
    assert!(service.asked() >= 4 + 3);
}

#[test]
fn a_refusal_for_a_while_says_for_how_long() {
    let (_service, stitch) = watched();
    let set = set_mode(&stitch, "users", r#"{"mode": "forced_open", "ttl": "25s"}"#);
    assert_eq!(set.status, 200);
    let answer = get(&stitch);
    assert_eq!(told(&answer), REFUSED);
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((15..=25).contains(&wait), "{wait}");
}

#[test]
fn a_reset_closes_it_whatever_it_was() {
    let (service, stitch) = watched();
    service.is(503);
    for round in 1..=3 {
        assert_eq!(statuses(&stitch, 3), [503; 3]);
        assert_eq!(told(&get(&stitch)), REFUSED);
        let seen = reset(&stitch, "users");
        assert_eq!((&seen["state"], &seen["window"]["calls"]), (&"closed".into(), &0.into()));
        assert_eq!(service.asked(), 3 * round);
    }
    assert_eq!(set_mode(&stitch, "users", r#"{"mode": "disabled"}"#).status, 200);
    let seen = reset(&stitch, "users");
    assert_eq!((&seen["mode"], &seen["state"]), (&"auto".into(), &"closed".into()));
}

#[test]
fn transitions_are_told_without_gaps_while_traffic_flows_and_a_reader_resumes() {
    let service = Service::start();
    service.is(503);
    let stitch =
        in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 50ms, probes: 2 }\n");
    let load = load(&stitch);
    let (mut last, mut before) = (0, "closed".to_owned());
    // Each reader goes on where the one before it went away.
    for reader in 0..4 {
        let mut events = Events::after(&stitch, last);
        for _ in 0..10 {
            let event = events.next();
            last += 1;
            assert_eq!(event["seq"], last, "reader {reader}");
            assert_eq!((&event["id"], &event["from"]), (&"users".into(), &before.as_str().into()));
            let [from, to, cause] = shift(&event);
            let expected = match from {
                "closed" => ("open", "consecutive"),
                "open" => ("half_open", "timer"),
                _ => ("open", "probe"),
            };
            assert_eq!((to, cause), expected);
            before = to.to_owned();
        }
    }
    let mut events = Events::after(&stitch, last);
    service.is(200);
    let closed = events.until("closed");
    assert_eq!(shift(&closed), ["half_open", "closed", "probe"]);
    assert!(wait_until(PATIENCE, || service.asked() > 1000), "{}", service.asked());
    assert_eq!(state(&stitch, "users"), "closed");
    assert_eq!(load.exited(), None);
}

#[test]
fn readers_of_transitions_do_not_hold_up_the_end() {
    let (_service, stitch) = watched();
    let mut events = Events::after(&stitch, 0);
    let _ = reset(&stitch, "users");
    assert_eq!(events.next()["cause"], "reset");
    let start = Instant::now();
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_transition_is_seen_in_fifty_milliseconds_under_load() {
    const ROUNDS: usize = 12;
    let (service, stitch) = watched();
    let mut events = Events::after(&stitch, 0);
    let start = Instant::now();
    let load = load(&stitch);
    assert!(wait_until(PATIENCE, || service.asked() > 100));
    let mut took = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let mut see = |kind: usize, wanted: &str, act: &dyn Fn()| {
            let began = Instant::now();
            act();
            let _ = events.until(wanted);
            took[kind].push(began.elapsed());
            assert_eq!(state(&stitch, "users"), wanted, "whoever asks is told the same");
            metrics_say(&stitch, wanted);
        };
        see(0, "open", &|| service.is(503));
        service.is(200);
        see(1, "closed", &|| drop(reset(&stitch, "users")));
        let force = |mode| drop(set_mode(&stitch, "users", &json!({ "mode": mode }).to_string()));
        see(2, "forced_open", &|| force("forced_open"));
        see(3, "closed", &|| force("auto"));
    }
    let calls = &breaker(&stitch, "users")["calls"];
    let calls: u64 = calls.as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let rate = calls as f64 / start.elapsed().as_secs_f64();
    assert_eq!(load.exited(), None);
    for (kind, mut took) in took.into_iter().enumerate() {
        took.sort();
        assert!(took[ROUNDS / 2] < Duration::from_millis(50), "{kind}: {took:?} at {rate:.0}/s");
    }
    // A build without optimisations, on a machine that others use.
    assert!(rate > 500.0, "{rate} requests a second are no load");
    wait_for(&stitch, "users", "closed");
}
