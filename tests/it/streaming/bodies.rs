//! Bodies pass through piece by piece, both ways, in bounded memory, with their trailers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use stitch_kit::http::{self, Connection};
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);
const GIB: u64 = 1 << 30;
/// How much the process may grow, in KiB, whatever passes through it.
const GROWTH: u64 = 64 << 10;

fn users(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()))
}

/// Reads a head, without its body.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed inside a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Writes so many bytes; says in `blocked` when nothing more was taken for a while.
fn pour(stream: &mut TcpStream, mut left: u64, poured: &AtomicU64, blocked: &AtomicBool) {
    let chunk = vec![b'x'; 256 << 10];
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        match stream.write(&chunk[..size]) {
            Ok(count) => {
                left -= count as u64;
                poured.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked.store(true, Ordering::Release);
            }
            Err(_) => return,
        }
    }
}

/// Reads so many bytes and forgets them.
fn drain(stream: &mut TcpStream, wanted: u64) -> u64 {
    let mut chunk = vec![0; 256 << 10];
    let mut count = 0;
    while count < wanted {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => count += read as u64,
        }
    }
    count
}

/// An upstream that answers with so many bytes, and how far it is.
fn source(size: u64) -> (Upstream, Arc<(AtomicU64, AtomicBool)>) {
    let progress = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
    let shared = progress.clone();
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
        if stream.write_all(head.as_bytes()).is_ok() {
            pour(&mut stream, size, &shared.0, &shared.1);
        }
    });
    (upstream, progress)
}

#[test]
fn a_gibibyte_comes_down_without_staying_here() {
    let (upstream, _) = source(GIB);
    let stitch = users(&upstream);
    let before = stitch.peak_memory();
    let mut connection = Connection::open(stitch.proxy());
    connection.send("GET / HTTP/1.1\r\nhost: users\r\nconnection: close\r\n\r\n");
    let mut stream = connection.stream();
    let head = read_head(&mut stream.try_clone().unwrap());
    assert!(head.contains(&format!("content-length: {GIB}\r\n")), "{head}");
    assert_eq!(drain(&mut stream.try_clone().unwrap(), GIB), GIB);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let grown = stitch.peak_memory() - before;
    assert!(grown < GROWTH, "grew by {grown} KiB");
}

#[test]
fn a_gibibyte_goes_up_without_staying_here() {
    let upstream = Upstream::scripted(|mut stream, _| {
        read_head(&mut stream);
        let body = drain(&mut stream, GIB).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
    });
    let stitch = users(&upstream);
    let before = stitch.peak_memory();
    let mut connection = Connection::open(stitch.proxy());
    connection.send(format!("PUT / HTTP/1.1\r\nhost: users\r\ncontent-length: {GIB}\r\n\r\n"));
    let mut stream = connection.stream().try_clone().unwrap();
    pour(&mut stream, GIB, &AtomicU64::new(0), &AtomicBool::new(false));
    assert_eq!(connection.read_response().text(), GIB.to_string());
    let grown = stitch.peak_memory() - before;
    assert!(grown < GROWTH, "grew by {grown} KiB");
}

#[test]
fn a_reader_that_does_not_read_holds_the_writer_back() {
    let (upstream, progress) = source(GIB / 4);
    let stitch = users(&upstream);
    let before = stitch.peak_memory();
    let mut connection = Connection::open(stitch.proxy());
    connection.send("GET / HTTP/1.1\r\nhost: users\r\n\r\n");
    assert!(wait_until(PATIENCE, || progress.1.load(Ordering::Acquire)), "never held back");
    // What the kernel's buffers hold (a few MiB on each of two connections) is no memory of ours.
    let poured = progress.0.load(Ordering::Relaxed);
    assert!(poured < GIB / 8, "{poured} bytes were taken");
    let grown = stitch.peak_memory() - before;
    assert!(grown < GROWTH / 2, "grew by {grown} KiB");
    // And nothing of it was lost meanwhile.
    let mut stream = connection.stream().try_clone().unwrap();
    read_head(&mut stream);
    assert_eq!(drain(&mut stream, GIB / 4), GIB / 4);
}

#[test]
fn an_upstream_that_does_not_read_holds_the_client_back() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        let body = drain(&mut stream, GIB / 4).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
    });
    let stitch = users(&upstream);
    let before = stitch.peak_memory();
    let mut connection = Connection::open(stitch.proxy());
    let size = GIB / 4;
    connection.send(format!("PUT / HTTP/1.1\r\nhost: users\r\ncontent-length: {size}\r\n\r\n"));
    let (poured, blocked) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut stream = connection.stream().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pour(&mut stream, size, &poured, &blocked));
        assert!(wait_until(PATIENCE, || blocked.load(Ordering::Acquire)), "never held back");
        assert!(poured.load(Ordering::Relaxed) < size / 2);
        assert!(stitch.peak_memory() - before < GROWTH / 2);
        go.send(()).unwrap();
    });
    assert_eq!(connection.read_response().text(), size.to_string());
}

#[test]
fn each_piece_of_an_answer_arrives_before_the_next_is_made() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for number in 0..3 {
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            stream.write_all(format!("8\r\ndata: {number}\n\r\n").as_bytes()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    connection.send("GET /events HTTP/1.1\r\nhost: users\r\n\r\n");
    let head = read_head(&mut connection.stream().try_clone().unwrap());
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    for number in 0..3 {
        go.send(()).unwrap();
        assert_eq!(connection.read_bytes(13), format!("8\r\ndata: {number}\n\r\n").as_bytes());
    }
    assert_eq!(connection.read_bytes(5), b"0\r\n\r\n");
}

#[test]
fn each_piece_of_a_request_arrives_before_the_next_is_sent() {
    let (seen, pieces) = mpsc::channel();
    let seen = Mutex::new(seen);
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        for _ in 0..3 {
            let mut piece = [0; 8];
            stream.read_exact(&mut piece).unwrap();
            seen.lock().unwrap().send(piece).unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    connection.send("POST / HTTP/1.1\r\nhost: users\r\ntransfer-encoding: chunked\r\n\r\n");
    for number in 0..3 {
        let piece = format!("3\r\nab{number}\r\n");
        connection.send(&piece);
        assert_eq!(pieces.recv_timeout(PATIENCE).unwrap(), piece.as_bytes());
    }
    connection.send("0\r\n\r\n");
    assert_eq!(connection.read_response().status, 204);
}

#[test]
fn an_answer_may_come_before_the_request_is_whole() {
    let upstream = Upstream::scripted(|mut stream, _| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\nno!").unwrap();
        drain(&mut stream, 1);
    });
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    connection.send("POST / HTTP/1.1\r\nhost: users\r\ncontent-length: 1000\r\n\r\n");
    let answer = connection.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "no!"));
}

#[test]
fn request_trailers_pass() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream);
    let headers = [("host", "users"), ("transfer-encoding", "chunked"), ("trailer", "x-sum")];
    let body = b"3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n";
    let told = http::send(stitch.proxy(), "POST", "/", &headers, body).json();
    assert_eq!(told["body"], "abc");
    assert_eq!(told["trailers"], serde_json::json!([["x-sum", "3"]]));
}

#[test]
fn response_trailers_pass_to_those_who_ask() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream);
    let asking = [("host", "users"), ("te", "trailers"), ("connection", "te")];
    let answer = http::get(stitch.proxy(), "/?trailer=sum", &asking);
    assert_eq!(answer.header("trailer"), Some("x-echo-trailer"));
    assert_eq!(answer.trailers.get("x-echo-trailer"), Some("sum"));
    let answer = http::get(stitch.proxy(), "/?trailer=sum", &[("host", "users")]);
    assert_eq!((answer.status, answer.trailers.0.len()), (200, 0));
}

#[test]
fn answers_without_bodies_have_none_and_keep_their_length() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    let host = [("host", "users")];
    for _ in 0..2 {
        let head = connection.request("HEAD", "/?bytes=1000", &host, b"");
        assert_eq!((head.status, head.header("content-length")), (200, Some("1000")));
        let head = connection.request("HEAD", "/?bytes=1000&chunked", &host, b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        for status in [204, 304] {
            let answer = connection.request("GET", &format!("/?status={status}"), &host, b"");
            assert_eq!((answer.status, answer.body.len()), (status, 0));
            assert_eq!(answer.header("transfer-encoding"), None);
        }
        assert_eq!(connection.request("GET", "/?bytes=1000", &host, b"").body.len(), 1000);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn framing_is_kept_both_ways() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream);
    let sized = http::send(stitch.proxy(), "POST", "/", &[("host", "users")], b"abc");
    assert!(sized.header("content-length").is_some());
    let answer = http::get(stitch.proxy(), "/?chunked", &[("host", "users")]);
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let empty =
        http::send(stitch.proxy(), "POST", "/", &[("host", "users"), ("content-length", "0")], b"");
    assert_eq!(empty.status, 200);
    let seen = upstream.requests();
    assert_eq!(seen[0].header("content-length"), Some("3"));
    // A GET has no body, and is not given one.
    assert_eq!(
        (seen[1].header("content-length"), seen[1].header("transfer-encoding")),
        (None, None)
    );
    assert_eq!(seen[2].header("content-length"), Some("0"));
}
