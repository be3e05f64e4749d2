//! What counts as a failure for a breaker, whoever is asked, and what says nothing.

use super::watched::{
    PATIENCE, REFUSED, Service, breaker, set_mode, state, statuses, told, wait_for,
};
use super::{get, in_front_of};
use serde_json::json;
use std::io::Read as _;
use std::time::Duration;
use stitch_kit::http::{self, Connection};
use stitch_kit::{Answer, PythonServer, Stitch, Upstream, free_port, grpc_call, wait_until};

const THREE: &str = "    breaker: { consecutive: 3, open: 60s }\n";

/// Three answers of this status for this reason, and then refusals.
#[track_caller]
fn three_failures(stitch: &Stitch, status: u16, reason: &str) {
    for _ in 0..3 {
        assert_eq!(told(&get(stitch)), (status, "-", reason));
    }
    for _ in 0..3 {
        assert_eq!(told(&get(stitch)), REFUSED);
    }
    let calls = &breaker(stitch, "users")["calls"];
    assert_eq!((&calls["failure"], &calls["not_permitted"]), (&3.into(), &3.into()), "{calls}");
}

#[test]
fn a_refused_connection_is_a_failure() {
    let url = format!("http://127.0.0.2:{}", free_port());
    let stitch = Stitch::up(&format!("services:\n  users:\n    url: '{url}'\n{THREE}"));
    three_failures(&stitch, 502, "connect_refused");
}

#[test]
fn a_reset_is_a_failure() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 1024]);
    });
    three_failures(&in_front_of(&upstream, THREE), 502, "upstream_reset");
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_timeout_is_a_failure_whichever_timer_it_is() {
    for (timers, reason) in
        [("{ first_byte: 100ms }", "timeout_first_byte"), ("100ms", "timeout_request")]
    {
        let upstream = Upstream::http(|_| Answer::new(200, "late").after(Duration::from_secs(2)));
        let stitch = in_front_of(&upstream, &format!("{THREE}    timeout: {timers}\n"));
        three_failures(&stitch, 504, reason);
        assert_eq!(upstream.requests().len(), 3);
    }
}

#[test]
fn what_is_wrong_with_the_request_says_nothing() {
    let service = Service::start();
    let stitch = in_front_of(&service.upstream, THREE);
    for status in [400, 401, 403, 404, 409, 422, 429, 499] {
        service.is(status);
        assert_eq!(statuses(&stitch, 2), [status; 2]);
    }
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["calls"]["ignored"]), (&"closed".into(), &16.into()));
    assert_eq!((&seen["window"]["calls"], &seen["consecutive"]), (&0.into(), &0.into()));
    for status in [503, 404, 503, 404, 404] {
        service.is(status);
        assert_eq!(get(&stitch).status, status);
    }
    assert_eq!(breaker(&stitch, "users")["consecutive"], 2, "nor does it end a row");
    service.is(503);
    assert_eq!(get(&stitch).status, 503);
    assert_eq!(told(&get(&stitch)), REFUSED);
    assert_eq!(service.asked(), 16 + 6);
}

#[test]
fn a_client_that_goes_says_nothing_and_gives_its_place_back() {
    let service = Service::start();
    service.hold("/");
    let stitch =
        in_front_of(&service.upstream, "    breaker: { consecutive: 3, open: 200ms, probes: 1 }\n");
    let gone = |calls: usize, ignored: usize| {
        let mut client = Connection::open(stitch.proxy());
        client.send("GET /a HTTP/1.1\r\nhost: users\r\n\r\n");
        assert!(wait_until(PATIENCE, || service.asked() == calls));
        drop(client);
        let is_counted = || breaker(&stitch, "users")["calls"]["ignored"] == ignored;
        assert!(wait_until(PATIENCE, is_counted), "{}", breaker(&stitch, "users"));
    };
    for number in 1..=5 {
        gone(number, number);
    }
    assert_eq!(state(&stitch, "users"), "closed");
    service.let_go();
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    wait_for(&stitch, "users", "half_open");
    service.is(200);
    service.hold("/");
    gone(5 + 3 + 1, 6);
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["probes"]["in_flight"]), (&"half_open".into(), &0.into()));
    service.let_go();
    assert_eq!(get(&stitch).status, 200, "the place is there for the next one");
    assert_eq!(state(&stitch, "users"), "closed");
}

#[test]
fn a_client_that_breaks_off_its_own_body_is_not_the_services_fault() {
    let reads_on = Upstream::scripted(
        |mut stream, _| while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {},
    );
    let stitch = in_front_of(&reads_on, THREE);
    for (number, (head, last)) in [
        ("content-length: 1000", ""),
        ("transfer-encoding: chunked", ""),
        ("transfer-encoding: chunked", "this is no chunk\r\n"),
    ]
    .into_iter()
    .cycle()
    .take(6)
    .enumerate()
    {
        let mut client = Connection::open(stitch.proxy());
        client.send(format!("POST /a HTTP/1.1\r\nhost: users\r\n{head}\r\n\r\n5\r\nhello\r\n"));
        assert!(wait_until(PATIENCE, || reads_on.connections() > number), "{head}");
        client.send(last);
        drop(client);
        let all = || {
            breaker(&stitch, "users")["calls"]
                .as_object()
                .unwrap()
                .values()
                .filter_map(serde_json::Value::as_u64)
                .sum::<u64>()
        };
        assert!(wait_until(PATIENCE, || all() > number as u64));
        let calls = &breaker(&stitch, "users")["calls"];
        assert_eq!(calls["failure"], 0, "{head} {last:?} {calls}");
    }
    assert_eq!(state(&stitch, "users"), "closed");
}

#[test]
fn what_stitch_refuses_by_itself_says_nothing() {
    let service = Service::start();
    let stitch = in_front_of(&service.upstream, &format!("{THREE}    rate_limit: 2/h\n"));
    assert_eq!(statuses(&stitch, 10), [&[200; 2][..], &[429; 8]].concat());
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["calls"]["success"]), (&"closed".into(), &2.into()));
    assert_eq!(seen["calls"]["ignored"], 0, "they never got there");
}

#[test]
fn a_mock_counts_like_anybody() {
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    endpoints: [{{ path: /a, failure_rate: 100%, response: ok }}]\n{THREE}"
    ));
    for _ in 0..3 {
        assert_eq!(told(&get(&stitch)).1, "mock");
    }
    for _ in 0..3 {
        assert_eq!(told(&get(&stitch)), REFUSED);
    }
    let service = http::get(stitch.admin(), "/api/services/users", &[]).json();
    assert_eq!(service["data"]["endpoints"][0]["hits"], 3);
}

/// A gRPC server and stitch with a breaker before it.
fn grpc() -> (PythonServer, Stitch) {
    let server = PythonServer::grpc();
    let url = server.url("h2c");
    let stitch = Stitch::up(&format!("services:\n  users:\n    url: '{url}'\n{THREE}"));
    (server, stitch)
}

#[test]
fn a_grpc_call_is_a_failure_by_its_status() {
    let (_server, stitch) = grpc();
    let fail = |code: u8| grpc_call(stitch.proxy(), "users", "fail", &format!("[{code}, \"no\"]"));
    // NOT_FOUND, FAILED_PRECONDITION and UNAUTHENTICATED blame the caller.
    for (code, name) in [(5, "NOT_FOUND"), (9, "FAILED_PRECONDITION"), (16, "UNAUTHENTICATED")] {
        assert_eq!(fail(code)["code"], name);
    }
    assert_eq!(breaker(&stitch, "users")["calls"]["ignored"], 3);
    for (code, name) in [(14, "UNAVAILABLE"), (13, "INTERNAL"), (15, "DATA_LOSS")] {
        assert_eq!(state(&stitch, "users"), "closed");
        assert_eq!(fail(code)["code"], name);
    }
    assert_eq!(state(&stitch, "users"), "open");
    let refused = grpc_call(stitch.proxy(), "users", "unary", "");
    assert_eq!(refused["code"], "UNAVAILABLE");
    assert!(
        refused["details"].as_str().unwrap().contains("the breaker users is open"),
        "{refused}"
    );
    assert_eq!(refused["trailing"]["x-stitch-reason"], "breaker_open", "{refused}");
    assert_eq!(breaker(&stitch, "users")["calls"]["failure"], 3);
}

#[test]
fn a_grpc_call_that_fails_behind_its_messages_is_told_by_its_trailers() {
    let (_server, stitch) = grpc();
    let call = || grpc_call(stitch.proxy(), "users", "fail_late", "[14, \"no\"]");
    for number in 1..=3 {
        assert_eq!(state(&stitch, "users"), "closed");
        let told = call();
        assert_eq!((&told["code"], &told["messages"]), (&"UNAVAILABLE".into(), &json!(["0"])));
        assert_eq!(breaker(&stitch, "users")["calls"]["failure"], number);
    }
    assert_eq!(state(&stitch, "users"), "open");
    let refused = call();
    assert_eq!((&refused["code"], &refused["messages"]), (&"UNAVAILABLE".into(), &json!([])));
    assert_eq!(breaker(&stitch, "users")["calls"]["not_permitted"], 1);
}

#[test]
fn disabled_it_records_nothing_and_forced_closed_it_records_all() {
    let service = Service::start();
    service.is(503);
    let stitch = in_front_of(&service.upstream, THREE);
    for (mode, failures) in [("disabled", 0), ("forced_closed", 10), ("metrics_only", 20)] {
        let set = set_mode(&stitch, "users", &json!({ "mode": mode }).to_string());
        assert_eq!(set.status, 200);
        assert_eq!(statuses(&stitch, 10), [503; 10]);
        let seen = breaker(&stitch, "users");
        assert_eq!((&seen["state"], &seen["calls"]["failure"]), (&mode.into(), &failures.into()));
    }
    assert_eq!(service.asked(), 30, "all of them passed");
}

#[test]
fn a_service_that_answers_in_grpc_web_itself_is_not_taken_for_one_without_a_status() {
    for chunked in [false, true] {
        // The trailers of gRPC-Web are part of the body.
        let upstream = Upstream::http(move |_| {
            let body = b"\0\0\0\0\x01x\x80\0\0\0\x0fgrpc-status: 0\r\n";
            let answer = Answer::new(200, *body);
            Answer { chunked, ..answer.header("content-type", "application/grpc-web+proto") }
        });
        let stitch = in_front_of(&upstream, THREE);
        assert_eq!(statuses(&stitch, 5), [200; 5]);
        let seen = breaker(&stitch, "users");
        assert_eq!((&seen["state"], &seen["calls"]["success"]), (&"closed".into(), &5.into()));
    }
}
