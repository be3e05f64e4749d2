//! Connections of HTTP/2 that are told to end, by a service or by us: what was begun finishes, what
//! was not looked at is done elsewhere, and nobody is told.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use stitch_kit::h2::{Connection, End, Frame, kind, request};
use stitch_kit::http::{self, Response};
use stitch_kit::{Exit, Signal, Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

fn users(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: 'h2c://{}' }} }}",
        upstream.addr()
    ))
}

fn get(stitch: &Stitch) -> Response {
    http::get(stitch.proxy(), "/", &[("host", "users")])
}

fn post(stitch: &Stitch, body: &[u8]) -> Response {
    http::send(stitch.proxy(), "POST", "/", &[("host", "users")], body)
}

/// Answers every request with its own body, or `ok`, once it is whole.
fn serve(end: &mut Connection) {
    while let Some(stream) = end.next_request() {
        echo(end, stream);
    }
}

fn echo(end: &mut Connection, stream: u32) {
    if !end.until(|end| end.stream(stream).end.is_some()) {
        return;
    }
    let body = end.stream(stream).body.clone();
    let _ = end.answer(stream, "200", if body.is_empty() { b"ok" } else { &body });
}

#[test]
fn what_was_begun_before_a_goaway_finishes_and_the_rest_goes_elsewhere() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |stream, number| {
        let mut end = Connection::accept(stream).unwrap();
        if number > 1 {
            return serve(&mut end);
        }
        let first = end.next_request().unwrap();
        end.head(first, "200").unwrap();
        end.data(first, "begun ", false);
        end.send(&Frame::go_away(first, 0));
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        end.data(first, "finished", true);
        assert!(end.closes(), "kept although it is of no use");
    });
    let stitch = users(&upstream);
    let mut slow = Connection::open(stitch.proxy());
    let stream = slow.get("users", "/");
    assert!(slow.until(|slow| slow.stream(stream).body == b"begun "));
    for _ in 0..3 {
        assert_eq!(get(&stitch).text(), "ok");
    }
    assert_eq!(upstream.connections(), 2);
    go.send(()).unwrap();
    assert_eq!(slow.finish(stream).body, b"begun finished");
}

/// Says GOAWAY to the first connection after so many requests have come there, of which it has
/// looked at the first; serves on all others. Bodies are read before.
fn leaving(after: usize) -> Upstream {
    Upstream::scripted(move |stream, number| {
        let mut end = Connection::accept(stream).unwrap();
        if number > 1 {
            return serve(&mut end);
        }
        let streams: Vec<_> = (0..after).map(|_| end.next_request().unwrap()).collect();
        assert!(end.until(|end| streams.iter().all(|stream| end.stream(*stream).end.is_some())));
        end.send(&Frame::go_away(streams[0], 0));
        echo(&mut end, streams[0]);
        let _ = end.closes();
    })
}

#[test]
fn requests_that_were_not_looked_at_are_repeated_silently() {
    for body in [&b""[..], b"a body", &[b'x'; 40_000]] {
        let upstream = leaving(5);
        let stitch = users(&upstream);
        let mut client = Connection::open(stitch.proxy());
        let streams: Vec<_> = (0..5)
            .map(|_| {
                let stream = client.request(&request("POST", "users", "/"), body.is_empty());
                if !body.is_empty() {
                    client.pour(stream, body.len());
                    client.data(stream, "", true);
                }
                stream
            })
            .collect();
        for stream in streams {
            let answer = client.finish(stream);
            assert_eq!(answer.status, Some(200), "{} bytes: {:?}", body.len(), answer.end);
            let length = if body.is_empty() { 2 } else { body.len() };
            assert_eq!(answer.body.len(), length);
        }
        assert_eq!(upstream.connections(), 2);
    }
}

#[test]
fn a_request_that_was_looked_at_is_not_repeated_after_a_goaway() {
    for code in [0, INTERNAL_ERROR] {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let upstream = Upstream::scripted(move |stream, _| {
            let mut end = Connection::accept(stream).unwrap();
            let Some(stream) = end.next_request() else { return };
            assert!(end.until(|end| end.stream(stream).end.is_some()));
            count.fetch_add(1, Ordering::Relaxed);
            end.send(&Frame::go_away(stream, code));
        });
        let stitch = users(&upstream);
        for body in [&b""[..], b"a body"] {
            seen.store(0, Ordering::Relaxed);
            let answer = post(&stitch, body);
            let reason = answer.header("x-stitch-reason");
            assert_eq!((answer.status, reason), (502, Some("upstream_reset")), "{code}");
            assert_eq!(seen.load(Ordering::Relaxed), 1, "done twice");
        }
    }
}

/// Refuses so many requests, once their bodies are here or at once.
fn refusing(times: usize, at_once: bool) -> (Upstream, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let upstream = Upstream::scripted(move |stream, _| {
        let mut end = Connection::accept(stream).unwrap();
        while let Some(stream) = end.next_request() {
            if count.fetch_add(1, Ordering::Relaxed) < times {
                if !at_once {
                    end.until(|end| end.stream(stream).end.is_some());
                }
                let _ = end.try_send(&Frame::reset(stream, REFUSED_STREAM));
            } else {
                echo(&mut end, stream);
            }
        }
    });
    (upstream, seen)
}

#[test]
fn a_refused_stream_is_tried_once_more() {
    for body in [&b""[..], b"a body"] {
        for at_once in [true, false] {
            let (upstream, seen) = refusing(1, at_once);
            let stitch = users(&upstream);
            let answer = post(&stitch, body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.body, if body.is_empty() { b"ok" } else { body });
            assert_eq!(seen.load(Ordering::Relaxed), 2);
            let (upstream, seen) = refusing(usize::MAX, at_once);
            let stitch = users(&upstream);
            let answer = post(&stitch, body);
            assert_eq!(answer.header("x-stitch-reason"), Some("upstream_reset"));
            assert_eq!((answer.status, seen.load(Ordering::Relaxed)), (502, 2));
        }
    }
}

#[test]
fn a_large_body_is_not_kept_for_a_second_time() {
    let (upstream, seen) = refusing(1, false);
    let stitch = users(&upstream);
    let answer = post(&stitch, &vec![b'x'; 1 << 20]);
    assert_eq!(answer.status, 502);
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

fn in_flight(stitch: &Stitch) -> i64 {
    let service = http::get(stitch.admin(), "/api/services/slow", &[]).json();
    service["data"]["counters"]["in_flight"].as_i64().unwrap()
}

/// A client with a request in flight, and the stitch that was told to end.
fn draining(yaml: &str) -> (Stitch, Connection, u32) {
    let stitch = Stitch::up(yaml);
    let mut client = Connection::open(stitch.proxy());
    let stream = client.get("slow", "/");
    assert!(wait_until(PATIENCE, || in_flight(&stitch) == 1));
    stitch.signal(Signal::TERM);
    stitch.wait_for_stdout(|line| line["event"] == "draining");
    (stitch, client, stream)
}

#[test]
fn a_drain_says_goaway_and_lets_streams_finish() {
    let (stitch, mut client, stream) =
        draining("services: { slow: { endpoints: [{ path: /, response: done, delay: 1s }] } }");
    // The second one names the last stream that counts; the first only asks for no more.
    assert!(client.until(|client| client.away().is_some_and(|(last, _)| last == stream)));
    assert_eq!(client.away(), Some((stream, 0)));
    let late = client.get("slow", "/");
    let answer = client.finish(stream);
    assert_eq!((answer.status, answer.body.as_slice()), (Some(200), &b"done"[..]));
    assert!(client.closes());
    assert_eq!(client.stream(late).status, None);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
}

#[test]
fn a_drain_of_streams_has_an_end() {
    let start = Instant::now();
    let (stitch, mut client, stream) = draining(
        "proxy: { drain: 500ms }\nservices: { slow: { endpoints: [{ path: /, delay: 60s }] } }",
    );
    assert_ne!(client.finish(stream).end, Some(End::Whole));
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(stitch.stderr().contains("cut off"), "{}", stitch.stderr());
}

#[test]
fn idle_connections_of_http_2_do_not_hold_up_the_end() {
    let stitch = Stitch::up("services: { shop: { endpoints: [{ path: /a }] } }");
    let mut used = Connection::open(stitch.proxy());
    let stream = used.get("shop", "/a");
    assert_eq!(used.finish(stream).status, Some(200));
    // Neither answers PING from here on.
    let fresh = Connection::open(stitch.proxy());
    let start = Instant::now();
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    // `drain` is 10 s.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop((used, fresh));
}

#[test]
fn a_tunnel_in_a_stream_does_not_keep_its_connection_from_hearing_of_the_drain() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let mut chunk = [0; 4096];
        if stream.read(&mut chunk).is_ok_and(|count| count > 0) {
            let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                        connection: upgrade\r\n\r\nwelcome";
            stream.write_all(head.as_bytes()).unwrap();
            let _ = stream.read(&mut chunk);
        }
    });
    let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
    let mut client = Connection::open(stitch.proxy());
    assert!(matches!(client.try_next(), Ok(Some(frame)) if frame.kind == kind::SETTINGS));
    let fields =
        [&[(":protocol", "websocket")][..], &request("CONNECT", "users", "/chat")].concat();
    let tunnel = client.request(&fields, false);
    assert!(client.until(|client| client.stream(tunnel).body == b"welcome"));
    stitch.signal(Signal::TERM);
    client.patience(Duration::from_secs(2));
    assert!(client.until(|client| client.away().is_some()), "not told to go");
    client.data(tunnel, "", true);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
}
