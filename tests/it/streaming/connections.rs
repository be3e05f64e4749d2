//! Connections: kept on both sides, pipelined, cancelled with their client, replaced when dead.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Stitch, Upstream, free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn users(url: &str) -> Stitch {
    Stitch::up(&format!("proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: '{url}' }} }}"))
}

fn get(stitch: &Stitch, target: &str) -> Response {
    http::get(stitch.proxy(), target, &[("host", "users")])
}

/// Reads until a head has arrived; false when the other side closed first.
fn head(stream: &mut impl Read) -> bool {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}

#[test]
fn one_connection_each_side_carries_many_requests() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    for number in 1..=50 {
        let body = vec![b'x'; number * 100];
        let told = connection.request("POST", "/", &[("host", "users")], &body).json();
        assert_eq!((&told["served"], &told["body_length"]), (&number.into(), &body.len().into()));
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_upstream_connection_is_reused_by_the_next_client() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    for number in 1..=20 {
        // Chunked and empty answers give it back as well as sized ones do.
        let target = ["/", "/?chunked", "/?status=204"][number % 3];
        assert!(matches!(get(&stitch, target).status, 200 | 204));
        let given_back = wait_until(PATIENCE, || {
            let service = http::get(stitch.admin(), "/api/services/users", &[]).json();
            service["data"]["counters"]["in_flight"] == 0
        });
        assert!(given_back);
    }
    // Giving back is a moment after the answer's end, so that a few may have come too early.
    assert!(upstream.connections() <= 5, "{} connections", upstream.connections());
}

#[test]
fn close_is_said_and_done_on_both_sides() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    let answer = connection.request("GET", "/?close", &[("host", "users")], b"");
    // The upstream's wish is about its own connection.
    assert_eq!(answer.header("connection"), None);
    let headers = [("host", "users"), ("connection", "close")];
    let answer = connection.request("GET", "/", &headers, b"");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.closes_within(PATIENCE));
    assert_eq!(upstream.requests()[1].header("connection"), None);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    let one = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: users\r\n\r\n");
    let post = "POST /2 HTTP/1.1\r\nhost: users\r\ncontent-length: 3\r\n\r\nabc";
    // The first one takes longest.
    connection.send([&one("/1?delay=200"), post, &one("/3")].concat());
    for target in ["/1?delay=200", "/2", "/3"] {
        assert_eq!(connection.read_response().json()["target"], target);
    }
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let shared = waiting.clone();
    let upstream = Upstream::scripted(move |mut stream, _| {
        if head(&mut stream) {
            shared.fetch_add(1, Ordering::Relaxed);
            // Never answers: until the proxy closes.
            let _ = stream.read(&mut [0]);
        }
    });
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    connection.send("GET /slow HTTP/1.1\r\nhost: users\r\n\r\n");
    assert!(wait_until(PATIENCE, || waiting.load(Ordering::Relaxed) == 1));
    drop(connection);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0), "still asking upstream");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_ends_it() {
    let upstream = Upstream::scripted(|mut stream, _| {
        if head(&mut stream) {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            while stream.write_all(b"3\r\nabc\r\n").is_ok() {}
        }
    });
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    connection.send("GET /endless HTTP/1.1\r\nhost: users\r\n\r\n");
    assert!(connection.read_bytes(1000).starts_with(b"HTTP/1.1 200 OK\r\n"));
    drop(connection);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0), "still reading upstream");
}

/// Answers the first request on its first connection, and ends it at the second.
fn dying() -> Upstream {
    Upstream::scripted(|mut stream, number| {
        while head(&mut stream) {
            if stream.write_all(OK).is_err() || (number == 1 && head(&mut stream)) {
                return;
            }
        }
    })
}

#[test]
fn a_kept_connection_that_dies_is_replaced_for_requests_that_can_be_repeated() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let upstream = dying();
        let stitch = users(&upstream.url());
        let mut connection = Connection::open(stitch.proxy());
        for _ in 0..2 {
            let answer = connection.request(method, "/", &[("host", "users")], b"");
            assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        }
        assert_eq!(upstream.connections(), 2, "{method}");
    }
}

#[test]
fn what_must_not_happen_twice_is_not_repeated() {
    let upstream = dying();
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    let host = [("host", "users")];
    assert_eq!(connection.request("GET", "/", &host, b"").status, 200);
    let answer = connection.request("POST", "/", &host, b"");
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("x-stitch-reason"), Some("upstream_reset"));
    assert_eq!(upstream.connections(), 1);
    assert_eq!(connection.request("POST", "/", &host, b"").status, 200);
}

#[test]
fn an_upstream_that_closes_without_a_word_after_each_answer_is_no_trouble() {
    let upstream = Upstream::scripted(|mut stream, _| {
        if head(&mut stream) {
            let _ = stream.write_all(OK);
        }
    });
    let stitch = users(&upstream.url());
    let mut connection = Connection::open(stitch.proxy());
    for _ in 0..100 {
        assert_eq!(connection.request("GET", "/", &[("host", "users")], b"").status, 200);
    }
    assert_eq!(upstream.connections(), 100);
}

#[test]
fn a_service_may_start_later_and_come_back() {
    let port = free_port();
    // By name: what it resolves to is looked up for each new connection.
    let stitch = users(&format!("http://localhost:{port}"));
    assert_eq!(get(&stitch, "/").status, 502);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..2 {
        let upstream = Upstream::echo_on(address);
        assert_eq!(get(&stitch, "/").status, 200);
        drop(upstream);
        assert_eq!(get(&stitch, "/").status, 502);
    }
}

#[test]
fn a_kept_connection_is_dropped_before_usual_servers_would_close_it() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    assert_eq!(get(&stitch, "/").status, 200);
    assert_eq!(upstream.open_connections(), 1);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0), "kept for ever");
}

#[test]
fn slow_requests_do_not_hold_up_others() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |mut stream, number| {
        if head(&mut stream) {
            if number == 1 {
                let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            }
            let _ = stream.write_all(OK);
        }
    });
    // One worker serves them all.
    let stitch = users(&upstream.url());
    let mut slow = Connection::open(stitch.proxy());
    slow.send("GET /slow HTTP/1.1\r\nhost: users\r\n\r\n");
    assert!(wait_until(PATIENCE, || upstream.connections() == 1));
    for _ in 0..10 {
        assert_eq!(get(&stitch, "/quick").status, 200);
    }
    go.send(()).unwrap();
    assert_eq!(slow.read_response().status, 200);
}
