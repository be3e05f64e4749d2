//! Streams that stand still beside streams that do not: on a client's connection, and on one to a
//! service that many clients share.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use stitch_kit::h2::{Connection, End, kind, request};
use stitch_kit::http;
use stitch_kit::{Answer, Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
/// As many as fill the room of a connection that is shared out too generously.
const MANY: usize = 40;
/// More than all buffers on a stream's way hold.
const LARGE: usize = 16 << 20;

/// A service `large` that answers with more than fits anywhere, and `quick`, both in HTTP/1.
fn large_and_quick() -> (Upstream, Stitch) {
    let upstream = Upstream::http(|request| match request.path() {
        "/large" => Answer::new(200, vec![b'x'; LARGE]),
        _ => Answer::new(200, "quick"),
    });
    let url = upstream.url();
    let stitch =
        Stitch::up(&format!("proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: '{url}' }} }}"));
    (upstream, stitch)
}

#[test]
fn answers_that_are_not_read_hold_up_no_other_on_their_connection() {
    let (_upstream, stitch) = large_and_quick();
    let mut client = Connection::open(stitch.proxy());
    let stalled: Vec<_> = (0..MANY)
        .map(|_| {
            let stream = client.get("users", "/large");
            client.hold(stream);
            stream
        })
        .collect();
    let full = |client: &Connection, stream| client.stream(stream).body.len() == 65_535;
    assert!(client.until(|client| stalled.iter().all(|stream| full(client, *stream))));
    for _ in 0..10 {
        let quick = client.get("users", "/quick");
        assert_eq!(client.finish(quick).body, b"quick");
    }
    let large = client.get("users", "/large");
    assert_eq!(client.finish(large).body.len(), LARGE);
    assert!(stalled.iter().all(|stream| full(&client, *stream)));
}

/// Reads a head, and then a body: where the path is `/stalled` not before `over` has been dropped.
fn reader(over: mpsc::Receiver<()>) -> Upstream {
    let over = Mutex::new(over);
    Upstream::scripted(move |mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            if head.starts_with("POST /stalled") {
                let _ = over.lock().unwrap().recv();
                return;
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: u64 = length.map_or(0, |length| length.trim().parse().unwrap());
            let read = std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink());
            let body = read.unwrap().to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        seen.push(byte[0]);
    }
    String::from_utf8(seen).ok()
}

#[test]
fn requests_that_are_not_taken_hold_up_no_other_on_their_connection() {
    let (working, over) = mpsc::channel();
    let upstream = reader(over);
    let url = upstream.url();
    let stitch =
        Stitch::up(&format!("proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: '{url}' }} }}"));
    let mut client = Connection::open(stitch.proxy());
    client.patience(Duration::from_millis(200));
    let length = LARGE.to_string();
    let fields =
        |path| [&request("POST", "users", path)[..], &[("content-length", &length)]].concat();
    let stalled: Vec<_> = (0..MANY).map(|_| client.request(&fields("/stalled"), false)).collect();
    // As much as each is let: all of them, until nothing moves for a while.
    loop {
        let mut sent = 0;
        for stream in &stalled {
            sent += client.fill(*stream, 16 << 10, LARGE / 2).unwrap();
        }
        if sent == 0 && !matches!(client.try_next(), Ok(Some(_))) {
            break;
        }
    }
    client.patience(PATIENCE);
    let moving = client.request(&fields("/moving"), false);
    assert_eq!(client.pour(moving, LARGE), LARGE, "held up by its neighbours");
    client.data(moving, "", true);
    assert_eq!(client.finish(moving).body, LARGE.to_string().as_bytes());
    drop(working);
}

/// A service of HTTP/2 that answers the first requests of a connection with endless bodies in
/// pieces of this size, and the others with `quick`.
fn endless_then_quick(endless: usize, piece: usize) -> (Upstream, Stitch) {
    let upstream = Upstream::scripted(move |stream, _| {
        let mut end = Connection::accept(stream).unwrap();
        let mut begun = Vec::new();
        while let Ok(Some(frame)) = end.try_next() {
            if frame.kind == kind::HEADERS && begun.len() < endless {
                begun.push(frame.stream);
                end.head(frame.stream, "200").unwrap();
            } else if frame.kind == kind::HEADERS {
                end.head(frame.stream, "200").unwrap();
                if end.pour(frame.stream, 5) == 5 {
                    end.data(frame.stream, "", true);
                }
            }
            for stream in &begun {
                if end.fill(*stream, piece, LARGE).is_err() {
                    return;
                }
            }
        }
    });
    // One worker, and so one connection.
    let stitch = Stitch::up(&format!(
        "proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: 'h2c://{}' }} }}",
        upstream.addr()
    ));
    (upstream, stitch)
}

#[test]
fn clients_that_do_not_read_hold_up_no_other_client_of_a_service_of_http_2() {
    for piece in [16 << 10, 50] {
        let (upstream, stitch) = endless_then_quick(MANY, piece);
        let mut stalled: Vec<_> = (0..MANY)
            .map(|_| {
                let mut client = Connection::open(stitch.proxy());
                client.patience(PATIENCE);
                let stream = client.get("users", "/");
                client.hold(stream);
                (client, stream)
            })
            .collect();
        for (client, stream) in &mut stalled {
            let full = client.until(|client| client.stream(*stream).body.len() == 65_535);
            assert!(full, "pieces of {piece}: {:?}", client.stream(*stream).end);
        }
        let start = Instant::now();
        for _ in 0..10 {
            let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
            assert_eq!((answer.status, answer.text().as_str()), (200, "xxxxx"), "{piece}");
        }
        assert!(start.elapsed() < PATIENCE);
        assert_eq!(upstream.connections(), 1);
        for (client, stream) in &stalled {
            assert_eq!(client.stream(*stream).end, None, "pieces of {piece}");
        }
    }
}

#[test]
fn requests_that_a_service_of_http_2_does_not_take_hold_up_no_other() {
    let stalled = Arc::new(AtomicUsize::new(0));
    let count = stalled.clone();
    let upstream = Upstream::scripted(move |stream, _| {
        let mut end = Connection::accept(stream).unwrap();
        while let Ok(Some(frame)) = end.try_next() {
            if frame.kind == kind::HEADERS && count.fetch_add(1, Ordering::Relaxed) < MANY {
                end.hold(frame.stream);
            }
            let whole = end.stream(frame.stream).end == Some(End::Whole);
            if whole && end.answer(frame.stream, "200", b"taken").is_err() {
                return;
            }
        }
    });
    let stitch = Stitch::up(&format!(
        "proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: 'h2c://{}' }} }}",
        upstream.addr()
    ));
    let mut client = Connection::open(stitch.proxy());
    client.patience(Duration::from_millis(200));
    for _ in 0..MANY {
        let stream = client.request(&request("POST", "users", "/"), false);
        // A little for each.
        client.fill(stream, 1000, 1000).unwrap();
    }
    assert!(wait_until(PATIENCE, || stalled.load(Ordering::Relaxed) == MANY));
    let body = vec![b'x'; 200_000];
    for _ in 0..5 {
        let answer = http::send(stitch.proxy(), "POST", "/", &[("host", "users")], &body);
        assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
    }
    assert_eq!(upstream.connections(), 1);
}
