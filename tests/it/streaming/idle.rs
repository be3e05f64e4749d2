//! Silence: `timeout.idle` of one stream of HTTP/2 beside others that are busy, and of uploads; and
//! what it does not end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use stitch_kit::h2::{Connection, End, request};
use stitch_kit::http;
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_millis(600);
/// Between two bytes of what is slow, but goes on.
const PAUSE: Duration = Duration::from_millis(200);
/// An answer comes so long after its question that any timer of a waiting connection has run out.
const LATE: Duration = Duration::from_secs(2);

/// Does what the path asks for: `/never` does not answer, `/poll` answers late, `/begun` begins to, `/large` answers with
/// more than anybody reads, `/drip` with a byte now and then, `/take` reads a body of eight bytes.
fn service() -> Upstream {
    Upstream::scripted(|mut stream, _| {
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"\r\n\r\n") {
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            seen.push(byte[0]);
        }
        let head = String::from_utf8(seen).unwrap();
        match head.split(' ').nth(1) {
            Some("/begun") => answer(&mut stream, 9, b"begun"),
            Some("/large") => answer(&mut stream, 64 << 20, &vec![b'x'; 64 << 20]),
            Some("/drip") => {
                answer(&mut stream, 8, b"");
                stream.set_read_timeout(Some(PAUSE)).unwrap();
                // Passes the time: nobody sends anything.
                for _ in 0..8 {
                    let _ = stream.read(&mut byte);
                    let _ = stream.write_all(b"x");
                }
            }
            Some("/poll") => {
                stream.set_read_timeout(Some(LATE)).unwrap();
                // Passes the time: nobody sends anything.
                let _ = stream.read(&mut byte);
                answer(&mut stream, 4, b"news");
                stream.set_read_timeout(None).unwrap();
            }
            Some("/take") => {
                let mut body = Vec::new();
                // In chunks of one byte each, and the last one.
                while !body.ends_with(b"0\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    body.push(byte[0]);
                }
                answer(&mut stream, 5, b"taken");
            }
            _ => {}
        }
        let _ = stream.read(&mut byte);
    })
}

fn answer(stream: &mut TcpStream, length: usize, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    // Whoever asked may be gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn in_front_of(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ workers: 1 }}\n\
         services: {{ users: {{ url: '{}', timeout: {{ idle: {}ms }} }}, \
         shop: {{ endpoints: [{{ path: /a, response: shop }}] }} }}\n\
         defaults: {{ timeout: {{ idle: {}ms }} }}",
        upstream.url(),
        IDLE.as_millis(),
        IDLE.as_millis()
    ))
}

/// Another stream of the same connection that is answered at once.
fn busy(client: &mut Connection) {
    let stream = client.get("shop", "/a");
    assert_eq!(client.finish(stream).body, b"shop");
}

#[test]
fn a_silent_stream_ends_while_its_neighbours_go_on() {
    let upstream = service();
    let stitch = in_front_of(&upstream);
    for path in ["/never", "/begun", "/large"] {
        let mut client = Connection::open(stitch.proxy());
        let start = Instant::now();
        let stream = client.get("users", path);
        client.hold(stream);
        let ended = wait_until(PATIENCE, || {
            busy(&mut client);
            client.stream(stream).end.is_some()
        });
        assert!(ended, "{path} is waited for as long as its neighbours are busy");
        assert!(matches!(client.stream(stream).end, Some(End::Reset(_))), "{path}");
        assert!(start.elapsed() >= IDLE - PAUSE, "{path}: {:?}", start.elapsed());
        assert!(wait_until(PATIENCE, || upstream.open_connections() == 0), "{path}");
        busy(&mut client);
    }
}

#[test]
fn a_long_poll_outlasts_the_timers_of_connections_that_wait() {
    let upstream = service();
    let stitch = Stitch::up(&format!(
        "proxy: {{ limits: {{ idle: 300ms, header_timeout: 300ms }} }}\n\
         services: {{ users: {{ url: '{}' }} }}",
        upstream.url()
    ));
    let start = Instant::now();
    let mut newer = Connection::open(stitch.proxy());
    let poll = newer.get("users", "/poll");
    let mut older = http::Connection::open(stitch.proxy());
    let answer = older.request("GET", "/poll", &[("host", "users")], b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "news"));
    assert_eq!(newer.finish(poll).body, b"news");
    assert!(start.elapsed() >= LATE - PAUSE, "{:?}", start.elapsed());
    // Now both wait, and are held to it.
    assert!(older.closes_within(PATIENCE) && newer.closes());
    assert!(start.elapsed() < LATE + PATIENCE / 2, "{:?}", start.elapsed());
}

#[test]
fn an_upload_that_is_not_read_is_ended() {
    const LARGE: usize = 64 << 20;
    let (over, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |mut stream, _| {
        stream.read_exact(&mut [0]).unwrap();
        let _ = wait.lock().unwrap().recv();
        // What was sent before is still there, and then the end or a reset: nothing is whole.
        let read = std::io::copy(&mut stream, &mut std::io::sink());
        assert!(!read.is_ok_and(|count| count >= LARGE as u64));
    });
    let stitch = in_front_of(&upstream);
    for newer in [false, true] {
        let start = Instant::now();
        if newer {
            let mut client = Connection::open(stitch.proxy());
            client.patience(PAUSE);
            let upload = client.request(&request("POST", "users", "/"), false);
            assert!(client.pour(upload, LARGE) < LARGE, "somebody has read it");
            client.patience(PATIENCE);
            let ended = wait_until(PATIENCE, || {
                busy(&mut client);
                client.stream(upload).end.is_some()
            });
            assert!(ended, "waited for as long as its neighbours are busy");
            assert!(matches!(client.stream(upload).end, Some(End::Reset(_))));
        } else {
            let mut client = TcpStream::connect(stitch.proxy()).unwrap();
            client.set_write_timeout(Some(PATIENCE)).unwrap();
            let head = format!("POST / HTTP/1.1\r\nhost: users\r\ncontent-length: {LARGE}\r\n\r\n");
            client.write_all(head.as_bytes()).unwrap();
            let error = client.write_all(&vec![b'x'; LARGE]).unwrap_err();
            let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        assert!(start.elapsed() >= IDLE - PAUSE, "{:?}", start.elapsed());
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    }
    drop(over);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}

#[test]
fn a_stream_that_goes_on_slowly_is_not_ended() {
    let upstream = service();
    let stitch = in_front_of(&upstream);
    let mut client = Connection::open(stitch.proxy());
    let down = client.get("users", "/drip");
    let up = client.request(&request("POST", "users", "/take"), false);
    client.patience(PAUSE);
    for _ in 0..8 {
        busy(&mut client);
        client.data(up, "x", false);
        // Passes the time.
        let pause = Instant::now();
        client.until(|_| pause.elapsed() >= PAUSE);
    }
    client.patience(PATIENCE);
    client.data(up, "", true);
    assert_eq!(client.finish(up).body, b"taken");
    assert_eq!(client.finish(down).body, b"xxxxxxxx");
}
