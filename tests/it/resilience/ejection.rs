//! Ejection: single endpoints that fail go, and come back by one request.

use super::watched::{PATIENCE, Service, at_once, told};
use super::{get, metric};
use serde_json::Value;
use stitch_kit::{Stitch, http, wait_until};

/// A service `users` of these endpoints, asked in turn.
fn in_turn(services: &[&Service], keys: &str) -> Stitch {
    let urls: Vec<_> = services.iter().map(|one| format!("'{}'", one.upstream.url())).collect();
    let urls = urls.join(", ");
    Stitch::up(&format!(
        "services:\n  users:\n    urls: [{urls}]\n    balance: round_robin\n{keys}"
    ))
}

fn endpoints(stitch: &Stitch) -> Vec<Value> {
    let told = http::get(stitch.admin(), "/api/services/users", &[]).json();
    told["data"]["upstreams"].as_array().unwrap().clone()
}

fn endpoint(stitch: &Stitch, service: &Service) -> Value {
    let address = service.upstream.addr().to_string();
    endpoints(stitch).into_iter().find(|one| one["address"] == address).unwrap()
}

#[track_caller]
fn wait_for(stitch: &Stitch, service: &Service, state: &str) {
    let is = || endpoint(stitch, service)["state"] == state;
    assert!(wait_until(PATIENCE, is), "no {state}: {}", endpoint(stitch, service));
}

/// How many of so many requests, one after the other, were not answered well.
fn errors(stitch: &Stitch, requests: usize) -> usize {
    (0..requests).filter(|_| get(stitch).status != 200).count()
}

fn ejections(stitch: &Stitch, service: &Service) -> f64 {
    let endpoint = format!("endpoint=\"{}\"", service.upstream.addr());
    metric(stitch, "stitch_endpoint_ejections_total", &[&endpoint])
}

/// What the log tells of one endpoint's ejections, one after the other.
fn log(stitch: &Stitch, service: &Service) -> Vec<String> {
    let of = format!("users at {} ", service.upstream.addr());
    let told = |line: &str| line.split_once(&of).map(|(_, what)| what.to_owned());
    stitch.stderr().lines().filter_map(told).collect()
}

#[track_caller]
fn wait_for_log(stitch: &Stitch, service: &Service, expected: &[&str]) {
    let told = wait_until(PATIENCE, || log(stitch, service).len() >= expected.len());
    assert!(told && log(stitch, service) == expected, "{}", stitch.stderr());
}

#[test]
fn one_of_three_that_fails_gets_no_calls_and_comes_back_by_one_probe() {
    let [bad, one, two] = [(); 3].map(|()| Service::start());
    let stitch = in_turn(&[&bad, &one, &two], "    eject: { consecutive: 3, for: 1s }\n");
    assert_eq!((errors(&stitch, 9), bad.asked()), (0, 3));
    bad.is(503);
    assert_eq!(errors(&stitch, 9), 3, "each third one");
    let seen = endpoint(&stitch, &bad);
    assert_eq!((&seen["state"], &seen["ejected_until"].is_string()), (&"ejected".into(), &true));
    let asked = bad.asked();
    assert_eq!(asked, 3 + 3);
    let (mut calm, mut fails) = (0, 0);
    while endpoint(&stitch, &bad)["state"] == "ejected" && bad.asked() == asked {
        fails += errors(&stitch, 1);
        calm += 1;
    }
    // The last one may have been the probe.
    assert!(calm > 3 && fails <= 1, "{calm} requests, {fails} failed");
    assert_eq!(bad.asked() - asked, fails);

    let _ = errors(&stitch, 3 * (1 - fails));
    assert_eq!(bad.asked(), asked + 1, "one bad probe, and it is out again");
    assert!(ejections(&stitch, &bad).eq(&2.0));
    bad.is(200);
    bad.hold("/");
    wait_for(&stitch, &bad, "probing");
    let answers = at_once(&stitch, 30, "/");
    for _ in 0..29 {
        assert_eq!(told(&answers.recv_timeout(PATIENCE).unwrap()), (200, "real", "-"));
    }
    assert!(wait_until(PATIENCE, || bad.at_once() == 1));
    assert_eq!(bad.asked(), asked + 2, "one request tries it while all others go elsewhere");
    bad.let_go();
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap().status, 200);
    wait_for(&stitch, &bad, "ready");
    assert_eq!(errors(&stitch, 30), 0);
    assert_eq!(bad.asked(), asked + 2 + 10, "its whole share again");
    let told = [
        "is ejected for 1s: it failed 3 times in a row",
        "is ejected for another 1s: the request that tried it failed",
        "gets requests again: the one that tried it went well",
    ];
    wait_for_log(&stitch, &bad, &told);
    assert_eq!((log(&stitch, &one).len(), log(&stitch, &two).len()), (0, 0));
}

#[test]
fn no_more_than_the_share_are_out_however_many_fail() {
    for (max, out) in [("50%", 2), ("25%", 1), ("99%", 3), ("10%", 0)] {
        let all = [(); 4].map(|()| Service::start());
        let keys = format!("    eject: {{ consecutive: 2, for: 60s, max: {max} }}\n");
        let stitch = in_turn(&all.each_ref(), &keys);
        all.iter().for_each(|one| one.is(503));
        for _ in 0..40 {
            assert_eq!(told(&get(&stitch)), (503, "real", "-"), "{max}");
        }
        let gone = endpoints(&stitch).iter().filter(|one| one["state"] == "ejected").count();
        assert_eq!(gone, out, "{max}");
        let spared: Vec<_> = all.iter().filter(|one| one.asked() > 2).collect();
        assert_eq!(spared.len(), 4 - out, "{max}");
        let asked: usize = spared.iter().map(|one| one.asked()).sum();
        assert_eq!(asked, 40 - 2 * out, "{max}: the others were asked twice each");
    }
}

#[test]
fn the_last_one_stays_unless_all_may_go() {
    for count in [1, 2] {
        let all: Vec<_> = (0..count).map(|_| Service::start()).collect();
        let all: Vec<_> = all.iter().collect();
        all.iter().for_each(|one| one.is(503));
        let spares = in_turn(&all, "    eject: { consecutive: 2, for: 60s, max: 99% }\n");
        for _ in 0..10 {
            assert_eq!(told(&get(&spares)), (503, "real", "-"));
        }
        let before: usize = all.iter().map(|one| one.asked()).sum();
        assert_eq!(before, 10);
        let spares_none = in_turn(&all, "    eject: { consecutive: 2, for: 60s, max: 100% }\n");
        for _ in 0..2 * count {
            assert_eq!(told(&get(&spares_none)), (503, "real", "-"));
        }
        for _ in 0..5 {
            assert_eq!(told(&get(&spares_none)), (503, "-", "no_healthy_endpoint"));
        }
        assert_eq!(all.iter().map(|one| one.asked()).sum::<usize>(), before + 2 * count);
    }
}

#[test]
fn a_health_check_that_passes_ends_it() {
    let [bad, good] = [(); 2].map(|()| Service::start());
    let stitch = in_turn(
        &[&bad, &good],
        "    eject: { consecutive: 3, for: 1h }\n    health: { every: 50ms, unhealthy: 100000 }\n",
    );
    let checks = || endpoint(&stitch, &bad)["health"]["checks"].as_u64().unwrap();
    assert!(wait_until(PATIENCE, || checks() > 0));
    bad.health_is(503);
    // A check that was under way may still pass.
    let failed = || endpoint(&stitch, &bad)["health"]["failed"].as_u64().unwrap();
    assert!(wait_until(PATIENCE, || failed() > 0));
    bad.is(503);
    assert_eq!(errors(&stitch, 6), 3);
    let seen = checks();
    assert!(wait_until(PATIENCE, || checks() > seen + 3));
    assert_eq!(endpoint(&stitch, &bad)["state"], "ejected", "checks that fail change nothing");
    assert_eq!((errors(&stitch, 20), bad.asked()), (0, 3));
    bad.is(200);
    bad.health_is(200);
    wait_for(&stitch, &bad, "ready");
    assert_eq!((errors(&stitch, 20), bad.asked()), (0, 3 + 10));
    assert!(ejections(&stitch, &bad).eq(&1.0));
    let told = [
        "is ejected for 3600s: it failed 3 times in a row",
        "gets requests again: a health check passed",
    ];
    wait_for_log(&stitch, &bad, &told);
}

#[test]
fn a_reload_keeps_who_is_out_and_what_the_others_failed() {
    let [bad, doubted, good] = [(); 3].map(|()| Service::start());
    let text = |more: &str| {
        let urls = [&bad, &doubted, &good].map(|one| format!("'{}'", one.upstream.url()));
        format!(
            "services:\n  users:\n    urls: [{}]\n    balance: round_robin\n{more}",
            urls.join(", ")
        )
    };
    let eject = "    eject: { consecutive: 3, for: 60s, max: 99% }\n";
    let stitch = Stitch::up(&text(eject));
    bad.is(503);
    assert_eq!(errors(&stitch, 9), 3);
    doubted.is(503);
    assert_eq!(errors(&stitch, 4), 2);
    let before = endpoints(&stitch);
    stitch.rewrite(&text(&format!("{eject}  shop: {{ endpoints: [{{ path: /a }}] }}\n")));
    stitch.wait_for_stdout(|line| line["event"] == "reloaded");
    assert_eq!(endpoints(&stitch), before);
    assert_eq!(errors(&stitch, 20), 1, "the third failure of the second one");
    assert_eq!((bad.asked(), doubted.asked()), (3, 3 + 3));
    assert!(ejections(&stitch, &bad).eq(&1.0) && ejections(&stitch, &doubted).eq(&1.0));
    stitch.rewrite(&text(""));
    for one in [&bad, &doubted] {
        let told = [
            "is ejected for 60s: it failed 3 times in a row",
            "gets requests again: the file has no `eject` any more",
        ];
        wait_for_log(&stitch, one, &told);
    }
    assert_eq!(log(&stitch, &good).len(), 0);
}
