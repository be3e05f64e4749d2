//! Header sections: what is refused, too large, too slow; which host a request is for.

use super::recorder::Recorder;
use super::rows;
use std::time::{Duration, Instant};
use stitch_kit::http::{self, Connection};
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn malformed_header_sections_are_refused() {
    let recorder = Recorder::new();
    for lines in rows::HEADS {
        recorder.refuses(400, rows::get(lines));
    }
}

#[test]
fn what_is_no_http_is_answered_400_and_closed() {
    let recorder = Recorder::new();
    for garbage in rows::NO_HTTP {
        recorder.refuses(400, garbage);
    }
    // The listener lives on.
    let (_, answer) = recorder.send("GET /a HTTP/1.1\r\nhost: users\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn bare_line_feeds_are_understood_and_not_passed_on() {
    let recorder = Recorder::new();
    let (_, answer) = recorder.send("GET /a HTTP/1.1\nhost: users\nx-a: 1\n\n");
    assert_eq!(answer.status, 200);
    let seen = recorder.seen();
    assert!(seen.contains("\r\nx-a: 1\r\n") && seen.ends_with("\r\n\r\n"), "{seen:?}");
    assert_eq!(seen.matches('\n').count(), seen.matches("\r\n").count(), "{seen:?}");
}

#[test]
fn a_header_section_over_the_limit_is_431() {
    let recorder = Recorder::with("proxy: { limits: { header_bytes: 16KiB } }");
    let long = |size: usize| {
        format!("GET /a HTTP/1.1\r\nhost: users\r\nx-a: {}\r\n\r\n", "a".repeat(size))
    };
    recorder.refuses(431, long(17 << 10));
    // Many small ones are as many bytes.
    let many = "x-a: 1234567890\r\n".repeat(2000);
    recorder.refuses(431, format!("GET /a HTTP/1.1\r\nhost: users\r\n{many}\r\n"));
    let (_, answer) = recorder.send(long(12 << 10));
    assert_eq!(answer.status, 200);
}

#[test]
fn a_header_section_that_never_ends_is_408_while_idle_connections_live() {
    let recorder = Recorder::with("proxy: { limits: { header_timeout: 300ms } }");
    let mut idle = Connection::open(recorder.stitch.proxy());
    let whole = "GET /a HTTP/1.1\r\nhost: users\r\n\r\n";
    idle.send(whole);
    assert_eq!(idle.read_response().status, 200);
    let start = Instant::now();
    let (mut slow, answer) = recorder.send("GET /a HTTP/1.1\r\nhost: users\r\nx-a");
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("x-stitch-reason"), Some("header_timeout"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    assert!(slow.closes_within(PATIENCE));
    // It has been idle for longer than that by now.
    idle.send(whole);
    assert_eq!(idle.read_response().status, 200);
    // A second request is held to it as the first was.
    idle.send("GET /a HT");
    assert_eq!(idle.read_response().status, 408);
}

#[test]
fn a_byte_now_and_then_does_not_prolong_a_header_section() {
    let recorder = Recorder::with("proxy: { limits: { header_timeout: 300ms } }");
    let mut dripping = Connection::open(recorder.stitch.proxy());
    dripping.send("GET /a HTTP/1.1\r\nhost: users\r\nx-a: ");
    assert!(wait_until(PATIENCE, || dripping.try_send("a").is_err()), "still open");
    assert_eq!(recorder.seen(), "");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let recorder = Recorder::with("proxy: { limits: { idle: 300ms } }");
    let (mut connection, answer) = recorder.send("GET /a HTTP/1.1\r\nhost: users\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(connection.closes_within(PATIENCE));
    let mut silent = Connection::open(recorder.stitch.proxy());
    assert!(silent.closes_within(PATIENCE));
}

fn two(more: &str) -> (Upstream, Stitch) {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}'{more} }}, orders: {{ endpoints: [{{ path: /** }}] }} }}",
        upstream.url()
    ));
    (upstream, stitch)
}

#[test]
fn an_absolute_target_wins_over_host() {
    let (upstream, stitch) = two("");
    let answer = http::get(stitch.proxy(), "http://users/a", &[("host", "orders")]);
    assert_eq!(answer.header("x-stitch-source"), Some("real"));
    let seen = &upstream.requests()[0];
    assert_eq!(seen.target, "/a");
    assert_eq!(seen.headers.all("host"), [upstream.addr().to_string().as_str()]);
    assert_eq!(seen.header("x-forwarded-host"), Some("users"));
}

#[test]
fn upstream_is_told_its_own_host_and_the_clients_beside_it() {
    let (upstream, stitch) = two("");
    let answer = http::get(stitch.proxy(), "/a", &[("host", "users.localhost:81")]);
    assert_eq!(answer.status, 200);
    let seen = &upstream.requests()[0];
    assert_eq!(seen.header("host"), Some(upstream.addr().to_string().as_str()));
    assert_eq!(seen.header("x-forwarded-host"), Some("users.localhost:81"));
}

#[test]
fn preserve_host_keeps_the_clients() {
    let (upstream, stitch) = two(", preserve_host: true");
    assert_eq!(http::get(stitch.proxy(), "/a", &[("host", "users.localhost")]).status, 200);
    assert_eq!(http::get(stitch.proxy(), "http://users/a", &[("host", "x")]).status, 200);
    let seen = upstream.requests();
    assert_eq!(seen[0].headers.all("host"), ["users.localhost"]);
    assert_eq!(seen[1].headers.all("host"), ["users"]);
}

#[test]
fn http_1_0_needs_no_host_and_is_closed_after_its_answer() {
    let recorder = Recorder::with("routes: [{ match: /a, to: users }]");
    let (mut connection, answer) = recorder.send("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert!(connection.closes_within(PATIENCE));
    assert!(recorder.seen().starts_with("get /a http/1.1\r\n"), "{}", recorder.seen());
}
