//! Services that go and come back: how soon they are used again, what it costs them, and what their
//! callers see meanwhile.

use super::watched::{
    Events, PATIENCE, REFUSED, Service, breaker, shift, state, statuses, told, wait_for,
};
use super::{get, in_front_of, metric};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use stitch_kit::http::Connection;
use stitch_kit::{Answer, Stitch, Upstream, free_port, http, wait_until};

/// Longest time that a recovery may take, whatever else the machine does.
const SOON: Duration = Duration::from_secs(6);

#[test]
fn a_service_that_was_killed_is_used_again_soon_after_it_is_back() {
    let address = ([127, 0, 0, 2], free_port()).into();
    let service = Service::on(address);
    let stitch =
        in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 400ms, probes: 2 }\n");
    assert_eq!(statuses(&stitch, 20), [200; 20]);
    drop(service);
    let (mut failed, mut refused) = (0, 0);
    // Through a few rounds of probes that find nobody.
    while breaker(&stitch, "users")["n"].as_u64().unwrap() < 3 {
        match told(&get(&stitch)) {
            REFUSED => refused += 1,
            (502, "-", _) => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(failed, 3 + 2, "three until it opened, then one in each round");
    assert!(refused > failed, "{refused}");
    let calls = &breaker(&stitch, "users")["calls"];
    assert_eq!((&calls["failure"], &calls["not_permitted"]), (&failed.into(), &refused.into()));

    let service = Service::on(address);
    let back = Instant::now();
    let mut errors = 0;
    while get(&stitch).status != 200 {
        errors += 1;
        assert!(back.elapsed() < SOON, "{errors} errors: {}", breaker(&stitch, "users"));
    }
    assert_eq!(statuses(&stitch, 50), [200; 50], "no error once the first one passed");
    assert_eq!(state(&stitch, "users"), "closed");
    assert_eq!(service.asked(), 51);
}

#[test]
fn a_service_that_fails_every_second_request_is_left_alone_until_it_is_well() {
    let (asked, ill) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(1)));
    let (counts, is_ill) = (asked.clone(), ill.clone());
    let upstream = Upstream::http(move |_| {
        let number = counts.fetch_add(1, Ordering::SeqCst);
        match number % 2 * is_ill.load(Ordering::SeqCst) {
            1 => Answer::new(503, "too much"),
            _ => Answer::new(200, "well"),
        }
    });
    let keys =
        "    breaker: { consecutive: 3, min_calls: 20, window: 60s, open: 500ms, probes: 3 }\n";
    let stitch = in_front_of(&upstream, keys);
    let mut events = Events::after(&stitch, 0);
    let first = statuses(&stitch, 20);
    assert_eq!(first.iter().filter(|status| **status == 503).count(), 10);
    let open = events.next();
    assert_eq!((shift(&open), &open["rate"]), (["closed", "open", "failure_rate"], &0.5.into()));
    assert_eq!(told(&get(&stitch)), REFUSED, "half of them failed, never two in a row");

    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 5 {
        assert!(start.elapsed() < PATIENCE);
        let _ = get(&stitch);
        rounds = breaker(&stitch, "users")["n"].as_u64().unwrap();
    }
    let calls = asked.load(Ordering::SeqCst);
    // Of two probes one is bad, so that no round takes more.
    assert!((20 + 4..=20 + 2 * 4).contains(&calls), "{calls} calls in four rounds");

    ill.store(0, Ordering::SeqCst);
    let well = Instant::now();
    let mut errors = 0;
    while state(&stitch, "users") != "closed" {
        errors += usize::from(get(&stitch).status != 200);
        assert!(well.elapsed() < SOON, "{errors} errors");
    }
    assert_eq!(asked.load(Ordering::SeqCst), calls + 3, "three good probes");
    assert_eq!(statuses(&stitch, 50), [200; 50]);
}

#[test]
fn nobody_notices_an_endpoint_that_flaps() {
    let failed = Arc::new(AtomicUsize::new(0));
    let (asked, fails) = (AtomicUsize::new(0), failed.clone());
    let flapping = Upstream::http(move |_| match asked.fetch_add(1, Ordering::SeqCst) % 20 {
        0..10 => Answer::new(200, "well"),
        _ => {
            fails.fetch_add(1, Ordering::SeqCst);
            Answer::new(503, "ill")
        }
    });
    let steady = Service::start();
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    urls: ['{}', '{}']\n    balance: round_robin\n    \
         eject: {{ consecutive: 3, for: 50ms }}\n    retry: {{ retries: 1, backoff: 1ms..1ms }}\n",
        flapping.url(),
        steady.upstream.url()
    ));
    let mut requests = 0;
    let start = Instant::now();
    // Twice well, ill, and well again.
    while flapping.requests().len() < 45 {
        assert_eq!(told(&get(&stitch)), (200, "real", "-"), "request {requests}");
        requests += 1;
        assert!(start.elapsed() < 2 * PATIENCE, "{requests} requests");
    }
    let (calls, failed) = (flapping.requests().len(), failed.load(Ordering::SeqCst));
    assert_eq!((calls, failed), (45, 20));
    assert_eq!(steady.asked(), requests - (calls - failed), "which answered for the other");
    let ejected = metric(&stitch, "stitch_endpoint_ejections_total", &["endpoint="]);
    // The third failure and every bad probe behind it, both times.
    assert!(ejected.eq(&16.0), "{ejected}");
}

#[test]
fn a_hundred_callers_do_not_trample_a_service_that_comes_back() {
    const CALLERS: usize = 100;
    let service = Service::start();
    let stitch =
        in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 2s, probes: 3 }\n");
    let mut events = Events::after(&stitch, 0);
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    service.is(200);
    service.hold("/");
    let (together, refused) = (Arc::new(Barrier::new(CALLERS + 1)), Arc::new(AtomicUsize::new(0)));
    let proxy = stitch.proxy();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (together, refused) = (together.clone(), refused.clone());
            let mut client = Connection::open(proxy);
            std::thread::spawn(move || {
                together.wait();
                // Comes again until there is an answer.
                loop {
                    let answer = client.request("GET", "/a", &[("host", "users")], b"");
                    match told(&answer) {
                        (200, "real", "-") => return,
                        REFUSED => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other:?}"),
                    };
                }
            })
        })
        .collect();
    let _ = events.until("half_open");
    together.wait();
    assert!(wait_until(PATIENCE, || refused.load(Ordering::SeqCst) > 5 * CALLERS));
    assert_eq!((service.at_once(), service.most(), service.asked()), (3, 3, 3 + 3));
    assert_eq!(state(&stitch, "users"), "half_open");
    let let_go = Instant::now();
    service.let_go();
    assert_eq!(shift(&events.next()), ["half_open", "closed", "probe"]);
    assert!(let_go.elapsed() < SOON, "{:?}", let_go.elapsed());
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    assert_eq!(service.asked(), 3 + CALLERS, "one good call for each of them");
    wait_for(&stitch, "users", "closed");
}

/// Of so many requests, how many an endpoint gets that has just come back.
fn share_after_recovery(slow_start: &str, state: &str) -> usize {
    const REQUESTS: usize = 200;
    let [back, steady] = [(); 2].map(|()| Service::start());
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    urls: ['{}', '{}']\n    balance: round_robin\n    \
         slow_start: {slow_start}\n    eject: {{ consecutive: 2, for: 100ms }}\n",
        back.upstream.url(),
        steady.upstream.url()
    ));
    back.is(503);
    let failed = statuses(&stitch, 4).into_iter().filter(|status| *status == 503).count();
    assert_eq!(failed, 2);
    back.is(200);
    let is = || {
        assert_eq!(get(&stitch).status, 200);
        let told = http::get(stitch.admin(), "/api/services/users", &[]).json();
        let upstreams = told["data"]["upstreams"].as_array().unwrap();
        let address = back.upstream.addr().to_string();
        upstreams.iter().any(|one| one["address"] == address && one["state"] == state)
    };
    assert!(wait_until(PATIENCE, is));
    let before = back.asked();
    assert_eq!(statuses(&stitch, REQUESTS), [200; REQUESTS]);
    back.asked() - before
}

#[test]
fn an_endpoint_with_a_slow_start_gets_few_requests_at_first() {
    let few = share_after_recovery("10m", "warming");
    assert!((10..=30).contains(&few), "{few} of 200, where a tenth of its weight makes 18");
    let share = share_after_recovery("200ms", "ready");
    assert!((95..=105).contains(&share), "{share} of 200");
}
