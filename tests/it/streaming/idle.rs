//! `timeout.idle` of one stream of HTTP/2 beside others that are busy: silence is its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use stitch_kit::h2::{Connection, End, request};
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_millis(600);
/// Between two bytes of what is slow, but goes on.
const PAUSE: Duration = Duration::from_millis(200);

/// Does what the path asks for: `/never` does not answer, `/begun` begins to, `/large` answers with
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
