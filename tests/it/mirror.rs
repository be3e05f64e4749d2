//! Copies of requests at a second service, and originals that never notice.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use stitch_kit::http::{self, Connection};
use stitch_kit::{Answer, Exit, PythonServer, Signal, Stitch, Upstream, grpc_call, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

fn up(original: &Upstream, copy: &Upstream, mirror: &str) -> Stitch {
    Stitch::up(&format!(
        "services:\n\
         \x20 users: {{ url: '{}', mirror: {mirror} }}\n\
         \x20 copy: {{ url: '{}' }}\n",
        original.url(),
        copy.url()
    ))
}

fn count(stitch: &Stitch, outcome: &str) -> usize {
    let line = format!(
        "stitch_mirror_requests_total{{service=\"users\",to=\"copy\",outcome=\"{outcome}\"}} "
    );
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    let count = metrics.lines().find_map(|metric| metric.strip_prefix(&line));
    count.map_or(0, |count| count.parse().unwrap())
}

#[track_caller]
fn wait_for(stitch: &Stitch, outcome: &str, expected: usize) {
    let reached = wait_until(PATIENCE, || count(stitch, outcome) >= expected);
    assert!(reached, "{outcome}: {} of {expected}", count(stitch, outcome));
    assert_eq!(count(stitch, outcome), expected, "{outcome}");
}

#[test]
fn the_copy_is_like_the_original_but_for_its_host_and_mark() {
    let (original, copy) = (Upstream::echo(), Upstream::http(|_| Answer::new(500, "no")));
    let stitch = up(&original, &copy, "copy");
    for (headers, body) in [
        (&[("host", "users"), ("x-tenant", "acme")][..], &b"hello"[..]),
        (
            &[("host", "users"), ("x-tenant", "acme"), ("transfer-encoding", "chunked")],
            b"5\r\nhello\r\n0\r\n\r\n",
        ),
    ] {
        let answer = http::send(stitch.proxy(), "POST", "/charge?x=1", headers, body);
        assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("hello")));
    }
    assert!(wait_until(PATIENCE, || copy.requests().len() == 2));
    for (original, copied) in original.requests().iter().zip(copy.requests()) {
        assert_eq!((&*copied.method, &*copied.target), ("POST", "/charge?x=1"));
        assert_eq!(copied.body, b"hello");
        assert_eq!(copied.header("host"), Some(copy.addr().to_string().as_str()));
        assert_eq!(copied.header("x-tenant"), Some("acme"));
        assert_eq!(copied.header("x-stitch-mirror"), Some("1"));
        assert_eq!(original.header("x-stitch-mirror"), None);
    }
    wait_for(&stitch, "sent", 2);
}

#[test]
fn a_copy_is_not_copied_again() {
    let (original, copy, third) = (Upstream::echo(), Upstream::echo(), Upstream::echo());
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 users: {{ url: '{}', mirror: copy }}\n\
         \x20 copy: {{ url: '{}', mirror: third }}\n\
         \x20 third: {{ url: '{}' }}\n",
        original.url(),
        copy.url(),
        third.url()
    ));
    let marked = [("host", "users"), ("x-stitch-mirror", "1")];
    assert_eq!(http::get(stitch.proxy(), "/marked", &marked).status, 200);
    assert_eq!(http::get(stitch.proxy(), "/first", &[("host", "users")]).status, 200);
    assert!(wait_until(PATIENCE, || copy.requests().len() == 1));
    assert_eq!(copy.requests()[0].target, "/first");
    wait_for(&stitch, "sent", 1);
    assert!(third.requests().is_empty());
    // It is mirrored when it is asked itself.
    assert_eq!(http::get(stitch.proxy(), "/own", &[("host", "copy")]).status, 200);
    assert!(wait_until(PATIENCE, || third.requests().len() == 1));
}

#[test]
fn a_mock_can_be_the_mirror_and_a_route_can_have_its_own() {
    let (original, copy) = (Upstream::echo(), Upstream::echo());
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 users: {{ url: '{}', mirror: shadow }}\n\
         \x20 shadow: {{ endpoints: [{{ path: /**, method: ANY, response: 202 }}] }}\n\
         \x20 copy: {{ url: '{}' }}\n\
         routes:\n\
         \x20 - {{ match: /copied/**, to: users, rewrite: '/**', mirror: copy }}\n\
         \x20 - {{ match: /alone/**, to: users, mirror: false }}\n",
        original.url(),
        copy.url()
    ));
    for target in ["/copied/a", "/alone/b"] {
        assert_eq!(http::get(stitch.proxy(), target, &[]).status, 200);
    }
    assert_eq!(http::get(stitch.proxy(), "/c", &[("host", "users")]).status, 200);
    assert!(wait_until(PATIENCE, || copy.requests().len() == 1));
    assert_eq!(copy.requests()[0].target, "/a", "as it was sent");
    let line = "stitch_requests_total{service=\"shadow\",source=\"mock\",status=\"2xx\"} 1";
    let metrics = || http::get(stitch.admin(), "/metrics", &[]).text();
    assert!(wait_until(PATIENCE, || metrics().contains(line)), "{}", metrics());
    assert_eq!(copy.requests().len(), 1);
}

#[test]
fn a_share_is_a_share() {
    let (original, copy) = (Upstream::echo(), Upstream::echo());
    let stitch = up(&original, &copy, "{ to: copy, percent: 30 }");
    let mut connection = Connection::open(stitch.proxy());
    for _ in 0..300 {
        assert_eq!(connection.request("GET", "/", &[("host", "users")], b"").status, 200);
    }
    let settled = || count(&stitch, "sent") + count(&stitch, "dropped");
    let before = AtomicUsize::new(usize::MAX);
    assert!(wait_until(PATIENCE, || before.swap(settled(), Ordering::Relaxed) == settled()));
    // Nine standard deviations to either side.
    assert!((20..160).contains(&settled()), "{}", settled());
}

/// Takes requests and never answers; says when one has come.
fn stalled() -> (Upstream, mpsc::Receiver<()>) {
    let (told, came) = mpsc::channel();
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut piece = [0; 1024];
        if stream.read(&mut piece).is_ok_and(|count| count > 0) {
            let _ = told.send(());
            while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
        }
    });
    (upstream, came)
}

#[test]
fn a_stalled_mirror_holds_nobody_up() {
    let original = Upstream::echo();
    let (copy, came) = stalled();
    let stitch = up(&original, &copy, "{ to: copy, max: 2 }");
    let mut connection = Connection::open(stitch.proxy());
    let began = Instant::now();
    for number in 0..50 {
        let body = vec![b'x'; 10_000];
        let answer = connection.request("POST", "/", &[("host", "users")], &body);
        assert_eq!(
            (answer.status, &answer.json()["body_length"]),
            (200, &10_000.into()),
            "{number}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for _ in 0..2 {
        came.recv_timeout(PATIENCE).unwrap();
    }
    wait_for(&stitch, "dropped", 48);
    let began = Instant::now();
    drop(connection);
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    assert!(began.elapsed() < Duration::from_secs(5), "a stop waits for no copy");
}

#[test]
fn a_mirror_that_is_not_there_fails_alone() {
    let original = Upstream::echo();
    let copy = Upstream::echo();
    let stitch = up(&original, &copy, "copy");
    drop(copy);
    assert_eq!(http::get(stitch.proxy(), "/", &[("host", "users")]).status, 200);
    wait_for(&stitch, "failed", 1);
}

#[test]
fn a_body_past_the_bound_is_not_copied_and_arrives_whole() {
    let (original, copy) = (Upstream::echo(), Upstream::echo());
    let stitch = up(&original, &copy, "{ to: copy, max_body: 16KiB }");
    let body = vec![b'x'; 100_000];
    let answer = http::send(stitch.proxy(), "POST", "/", &[("host", "users")], &body);
    assert_eq!(answer.json()["body_length"], 100_000);
    let mut connection = Connection::open(stitch.proxy());
    connection.send("POST / HTTP/1.1\r\nhost: users\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        connection.send([&b"3e8\r\n"[..], &[b'x'; 1000], b"\r\n"].concat());
    }
    connection.send("0\r\n\r\n");
    assert_eq!(connection.read_response().json()["body_length"], 100_000);
    wait_for(&stitch, "too_large", 2);
    assert!(copy.requests().is_empty(), "no whole request ever came");
}

#[test]
fn an_original_that_breaks_off_takes_its_copy_back() {
    let original = Upstream::echo();
    let ended = Arc::new(AtomicUsize::new(0));
    let ending = ended.clone();
    let (told, came) = mpsc::channel();
    let copy = Upstream::scripted(move |mut stream, _| {
        let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            seen.extend_from_slice(&piece[..count]);
            if seen.ends_with(b"part\r\n") {
                told.send(()).unwrap();
            }
        }
        assert!(!seen.ends_with(b"0\r\n\r\n"), "never taken for whole");
        ending.fetch_add(1, Ordering::Relaxed);
        let _ = stream.flush();
    });
    let stitch = up(&original, &copy, "copy");
    let mut connection = Connection::open(stitch.proxy());
    connection
        .send("POST / HTTP/1.1\r\nhost: users\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n");
    came.recv_timeout(PATIENCE).unwrap();
    drop(connection);
    assert!(wait_until(PATIENCE, || ended.load(Ordering::Relaxed) == 1));
    wait_for(&stitch, "dropped", 1);
}

/// A service that is answered without its body being read, whoever answers: a mock, or its breaker.
fn answered_early(copy: &Upstream, mirror: &str) -> Stitch {
    let nowhere = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 mocked: {{ endpoints: [{{ path: /**, method: ANY, response: 202 }}], mirror: {mirror} }}\n\
         \x20 broken: {{ url: '{}', breaker: {{ consecutive: 5 }}, mirror: {mirror} }}\n\
         \x20 copy: {{ url: '{}' }}\n",
        nowhere.url(),
        copy.url()
    ));
    let open = br#"{"mode":"forced_open"}"#;
    assert_eq!(
        http::send(stitch.admin(), "PUT", "/api/breakers/broken/mode", &[], open).status,
        200
    );
    stitch
}

#[test]
fn a_request_answered_before_its_body_came_is_copied_whole() {
    let copy = Upstream::echo();
    let stitch = answered_early(&copy, "copy");
    for (done, (host, status)) in [("mocked", 202), ("broken", 503)].into_iter().enumerate() {
        let mut connection = Connection::open(stitch.proxy());
        let head = format!("POST /{host} HTTP/1.1\r\nhost: {host}\r\n");
        connection.send(head.clone() + "transfer-encoding: chunked\r\n\r\n");
        assert_eq!(connection.read_response().status, status, "it does not wait");
        connection.send([&b"9c40\r\n"[..], &[b'x'; 40_000], b"\r\n"].concat());
        connection.send("0\r\n\r\n");
        // Its next request comes through, too.
        connection.send(head + "content-length: 5\r\n\r\n");
        assert_eq!(connection.read_response().status, status);
        connection.send("hello");
        assert!(wait_until(PATIENCE, || copy.requests().len() == 2 * done + 2), "{host}");
        let mut lengths: Vec<_> = copy.requests().iter().map(|copied| copied.body.len()).collect();
        lengths.drain(..2 * done);
        lengths.sort_unstable();
        assert_eq!(lengths, [5, 40_000], "{host}");
    }
}

#[test]
fn a_mirror_that_does_not_read_does_not_hold_up_the_next_request() {
    let (told, came) = mpsc::channel();
    let copy = Upstream::scripted(move |stream, _| told.send(stream).unwrap());
    let stitch = answered_early(&copy, "{ to: copy, max_body: 1MiB }");
    let mut unread = Vec::new();
    for host in ["mocked", "broken"] {
        let mut connection = Connection::open(stitch.proxy());
        let began = Instant::now();
        for _ in 0..5 {
            let head = format!("POST / HTTP/1.1\r\nhost: {host}\r\n");
            connection.send(head + "content-length: 900000\r\n\r\n");
            assert!([202, 503].contains(&connection.read_response().status));
            // More than sockets hold, less than what is copied.
            connection.send(vec![b'x'; 900_000]);
            unread.push(came.recv_timeout(PATIENCE).unwrap());
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn past_the_bound_the_rest_of_a_body_is_read_by_nobody() {
    let copy = Upstream::echo();
    let stitch = answered_early(&copy, "{ to: copy, max_body: 16KiB }");
    let mut connection = Connection::open(stitch.proxy());
    connection.send("POST / HTTP/1.1\r\nhost: mocked\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(connection.read_response().status, 202);
    let piece = [&b"3e8\r\n"[..], &[b'x'; 1000], b"\r\n"].concat();
    for _ in 0..20 {
        connection.send(&piece);
    }
    // As without a mirror.
    assert!(connection.read_to_close().is_empty());
    assert!(copy.requests().is_empty(), "no whole request ever came");
}

#[test]
fn an_upgrade_is_not_copied() {
    let original = Upstream::scripted(|mut stream, _| {
        let mut seen = [0; 1024];
        let count = stream.read(&mut seen).unwrap();
        let answer = match seen[..count].starts_with(b"GET /upgrade ") {
            true => "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x",
            false => "204 No Content",
        };
        stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).unwrap();
    });
    let copy = Upstream::echo();
    let stitch = up(&original, &copy, "copy");
    let headers = [("host", "users"), ("connection", "upgrade"), ("upgrade", "x")];
    let mut connection = Connection::open(stitch.proxy());
    assert_eq!(connection.request("GET", "/upgrade", &headers, b"").status, 101);
    assert_eq!(http::get(stitch.proxy(), "/after", &[("host", "users")]).status, 204);
    wait_for(&stitch, "sent", 1);
    let copied: Vec<_> = copy.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(copied, ["/after"]);
}

#[test]
fn a_call_of_grpc_is_copied_message_by_message() {
    let (original, copy) = (PythonServer::grpc(), PythonServer::grpc());
    let stitch = Stitch::up(&format!(
        "services:\n\
         \x20 users: {{ url: '{}', mirror: copy }}\n\
         \x20 copy: {{ url: '{}' }}\n",
        original.url("h2c"),
        copy.url("h2c")
    ));
    for (call, method) in [("unary", "Unary"), ("bidi", "Bidi")] {
        let told = grpc_call(stitch.proxy(), "users", call, "");
        assert_eq!(told["code"], "OK", "{told}");
        for server in [&original, &copy] {
            let ended = server.wait_for_event("ended", |line| line["method"] == method);
            assert_eq!(ended["cancelled"], false, "{method}");
        }
    }
    wait_for(&stitch, "sent", 2);
}
