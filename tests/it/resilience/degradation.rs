//! What callers get when the service gives them nothing: its mock, or the `fallback` of the file.

use super::{ask, get, in_front_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream, free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);
const MOCKED: &str = "    mode: real-then-mock\n    endpoints:\n      \
    - { path: /a, method: ANY, response: { body: { mock: '{{ request.body }}' } } }\n";

/// An address where nobody listens.
fn nowhere() -> String {
    format!("http://127.0.0.2:{}", free_port())
}

fn with_url(url: &str, keys: &str) -> Stitch {
    Stitch::up(&format!("services:\n  users:\n    url: '{url}'\n{keys}"))
}

/// Status, who answered, and why it was not the service.
fn who(answer: &Response) -> (u16, &str, Option<&str>) {
    let source = answer.header("x-stitch-source").unwrap_or("stitch");
    (answer.status, source, answer.header("x-stitch-reason"))
}

#[test]
fn the_mock_answers_when_the_service_is_down() {
    let stitch = with_url(&nowhere(), MOCKED);
    let answer = ask(&stitch, "POST", &[], "an order");
    assert_eq!(who(&answer), (200, "mock", Some("connect_refused")));
    assert_eq!(answer.json()["mock"], "an order");
    let head = ask(&stitch, "HEAD", &[], "");
    assert_eq!((who(&head).0, head.body.len()), (200, 0));
    let other = http::get(stitch.proxy(), "/none", &[("host", "users")]);
    assert_eq!(who(&other), (502, "stitch", Some("connect_refused")), "the mock does not know it");
}

#[test]
fn the_mock_answers_in_place_of_statuses_and_gets_the_whole_body() {
    let upstream = Upstream::http(|request| {
        let status = request.header("x-status").and_then(|status| status.parse().ok());
        Answer::new(status.unwrap_or(200), "real")
    });
    let stitch = in_front_of(&upstream, &format!("    mock_on: [404, 503]\n{MOCKED}"));
    let body = "x".repeat(60_000);
    for (status, mocked) in [("404", true), ("503", true), ("501", false), ("500", false)] {
        let answer = ask(&stitch, "POST", &[("x-status", status)], &body);
        let source = if mocked { "mock" } else { "real" };
        assert_eq!(answer.header("x-stitch-source"), Some(source), "{status}");
        if mocked {
            assert_eq!(answer.json()["mock"].as_str().unwrap().len(), body.len(), "{status}");
        }
    }
    assert!(upstream.requests().iter().all(|request| request.body.len() == body.len()));
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn the_mock_answers_while_the_breaker_is_open_and_the_service_again_after() {
    let status = Arc::new(AtomicU16::new(500));
    let says = status.clone();
    let upstream = Upstream::http(move |_| Answer::new(says.load(Ordering::SeqCst), "real"));
    let breaker = "    breaker: { consecutive: 2, open: 2s, probes: 1 }\n";
    let stitch = in_front_of(&upstream, &format!("{breaker}{MOCKED}"));
    assert_eq!([0; 2].map(|_| get(&stitch).status), [500; 2]);
    for _ in 0..5 {
        let answer = ask(&stitch, "POST", &[], "order");
        assert_eq!(who(&answer), (200, "mock", Some("breaker_open")));
        assert_eq!(answer.json()["mock"], "order");
    }
    assert_eq!(upstream.requests().len(), 2);
    status.store(200, Ordering::SeqCst);
    assert!(wait_until(PATIENCE, || get(&stitch).text() == "real"));
}

#[test]
fn the_mock_answers_when_no_endpoint_is_well() {
    let upstream = Upstream::http(|request| match request.path() {
        "/health" => Answer::new(503, "ill"),
        _ => Answer::new(200, "real"),
    });
    let health = "    health: { every: 20ms, unhealthy: 1, timeout: 2s }\n";
    let stitch = in_front_of(&upstream, &format!("{health}{MOCKED}"));
    assert!(wait_until(PATIENCE, || who(&get(&stitch)).1 == "mock"));
    let asked = || upstream.requests().iter().filter(|asked| asked.path() != "/health").count();
    let before = asked();
    assert_eq!(who(&get(&stitch)), (200, "mock", Some("no_healthy_endpoint")));
    assert_eq!(asked(), before);
}

#[test]
fn retries_come_before_the_mock() {
    let upstream = Upstream::http(|_| Answer::new(503, "real"));
    let stitch = in_front_of(
        &upstream,
        &format!("    retry: {{ retries: 2, backoff: 1ms..1ms }}\n    mock_on: 503\n{MOCKED}"),
    );
    let answer = ask(&stitch, "PUT", &[], "order");
    assert_eq!((who(&answer).1, &answer.json()["mock"]), ("mock", &"order".into()));
    assert_eq!(upstream.requests().len(), 3);
}

const FALLBACK: &str =
    "    fallback: { status: 203, headers: { cache-control: no-store }, body: { items: [] } }\n";

#[track_caller]
fn is_fallback(answer: &Response, reason: &str) {
    assert_eq!(who(answer), (203, "fallback", Some(reason)), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text(), "{\"items\":[]}");
}

#[test]
fn the_fallback_answers_when_nobody_can_be_reached_in_time() {
    is_fallback(&get(&with_url(&nowhere(), FALLBACK)), "connect_refused");
    let slow = Upstream::http(|_| Answer::new(200, "late").after(Duration::from_secs(5)));
    for (timer, reason) in [
        ("request", "timeout_request"),
        ("first_byte", "timeout_first_byte"),
        ("per_try", "timeout_per_try"),
    ] {
        let stitch = in_front_of(&slow, &format!("    timeout: {{ {timer}: 200ms }}\n{FALLBACK}"));
        is_fallback(&get(&stitch), reason);
    }
    let dying = Upstream::scripted(|_, _| {});
    is_fallback(&ask(&in_front_of(&dying, FALLBACK), "POST", &[], "x"), "upstream_reset");
    let babbling = Upstream::scripted(|mut stream, _| {
        use std::io::{Read as _, Write as _};
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"not HTTP\r\n\r\n");
    });
    is_fallback(&get(&in_front_of(&babbling, FALLBACK)), "upstream_protocol");
}

#[test]
fn the_fallback_answers_while_the_breaker_is_open_and_never_for_the_service_s_own_answers() {
    let upstream = Upstream::http(|request| {
        let status = request.header("x-status").and_then(|status| status.parse().ok());
        Answer::new(status.unwrap_or(200), "real")
    });
    let stitch = in_front_of(&upstream, &format!("    breaker: {{ consecutive: 3 }}\n{FALLBACK}"));
    for status in ["404", "429", "501", "500", "502", "503"] {
        let answer = ask(&stitch, "GET", &[("x-status", status)], "");
        assert_eq!((answer.status.to_string().as_str(), answer.text().as_str()), (status, "real"));
    }
    is_fallback(&get(&stitch), "breaker_open");
    assert_eq!(upstream.requests().len(), 6);
}

#[test]
fn the_fallback_does_not_hide_what_stitch_refuses() {
    let upstream = Upstream::http(|_| Answer::new(200, "real").after(Duration::from_millis(500)));
    let stitch = in_front_of(&upstream, &format!("    rate_limit: 1/h\n{FALLBACK}"));
    assert_eq!([0; 2].map(|_| get(&stitch).status), [200, 429]);
    let stitch = in_front_of(&upstream, &format!("    concurrency: {{ max: 1 }}\n{FALLBACK}"));
    let mut told: Vec<_> = super::at_once(2, |_| get(&stitch).status);
    told.sort_unstable();
    assert_eq!(told, [200, 503]);
    let basic = "    auth: { basic: { users: { bob: 'sha256:0000000000000000000000000000000000000000000000000000000000000000' } } }\n";
    assert_eq!(get(&in_front_of(&upstream, &format!("{basic}{FALLBACK}"))).status, 401);
}

#[test]
fn the_fallback_comes_after_the_mock_and_after_retries() {
    let stitch = with_url(&nowhere(), &format!("    retry: 2\n{FALLBACK}{MOCKED}"));
    assert_eq!(who(&get(&stitch)).1, "mock");
    let other = http::get(stitch.proxy(), "/none", &[("host", "users")]);
    is_fallback(&other, "connect_refused");
    let upstream = Upstream::scripted(|_, _| {});
    let stitch = in_front_of(
        &upstream,
        &format!("    retry: {{ retries: 2, backoff: 1ms..1ms }}\n{FALLBACK}"),
    );
    is_fallback(&get(&stitch), "upstream_reset");
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_fallback_is_told_to_head_and_as_text() {
    let json = with_url(&nowhere(), FALLBACK);
    let head = ask(&json, "HEAD", &[], "");
    assert_eq!((who(&head).0, head.body.len()), (203, 0));
    assert_eq!(head.header("content-length"), Some("12"), "as long as the answer to GET");
    let text = with_url(&nowhere(), "    fallback: { body: back soon }\n");
    let answer = get(&text);
    assert_eq!((answer.status, answer.text().as_str()), (200, "back soon"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let empty = get(&with_url(&nowhere(), "    fallback: { status: 204 }\n"));
    assert_eq!((empty.status, empty.body.len(), empty.header("content-length")), (204, 0, None));
}
