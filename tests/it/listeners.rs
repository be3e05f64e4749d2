//! Listeners under strain: more connections than there are places or descriptors for, and clients
//! that stand still.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use stitch_kit::http::{self, Connection};
use stitch_kit::{Answer, Scratch, Stitch, Upstream, h2, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for an answer that should not come to have come.
const WHILE: Duration = Duration::from_millis(300);
/// How much the process may grow, in KiB.
const GROWTH: u64 = 32 << 10;

const ASK: &str = "GET /a HTTP/1.1\r\nhost: shop\r\n\r\n";

/// Connections that have been served once and stay open.
fn kept(address: SocketAddr, count: usize) -> Vec<Connection> {
    let mut connections: Vec<_> = (0..count).map(|_| Connection::open(address)).collect();
    for connection in &mut connections {
        connection.send(ASK);
        assert_eq!(connection.read_response().text(), "shop");
    }
    connections
}

#[test]
fn connections_beyond_the_cap_wait_for_a_place() {
    let stitch = Stitch::up(
        "proxy: { limits: { connections: 5 } }\n\
         services: { shop: { endpoints: [{ path: /a, response: shop }] } }",
    );
    let mut five = kept(stitch.proxy(), 5);
    let mut sixth = Connection::open(stitch.proxy());
    sixth.send(ASK);
    sixth.patience(WHILE);
    let early = sixth.try_read_response_to("GET").unwrap_err();
    assert_eq!(early.kind(), ErrorKind::WouldBlock, "{early}");
    // Who has a place is served as ever, and so is whoever looks after the proxy.
    five[0].send(ASK);
    assert_eq!(five[0].read_response().status, 200);
    assert_eq!(http::get(stitch.admin(), "/health/live", &[]).status, 200);
    drop(five.pop());
    sixth.patience(PATIENCE);
    assert_eq!(sixth.read_response().text(), "shop");
}

#[test]
fn listeners_that_nobody_uses_take_no_place() {
    let ports: String = (0..8)
        .map(|number| {
            format!("  s{number}: {{ port: 0, endpoints: [{{ path: /a, response: shop }}] }}\n")
        })
        .collect();
    let stitch =
        Stitch::up(&format!("proxy: {{ limits: {{ connections: 3 }} }}\nservices:\n{ports}"));
    for number in 0..8 {
        assert_eq!(http::get(stitch.service(&format!("s{number}")), "/a", &[]).status, 200);
    }
    let _three = kept(stitch.service("s7"), 3);
}

/// A stitch that may have so many descriptors only.
fn with_descriptors(limit: usize, yaml: &str) -> (Stitch, Scratch) {
    let scratch = Scratch::new();
    let stitch = env!("CARGO_BIN_EXE_stitch");
    let script =
        scratch.write("stitch", format!("#!/bin/sh\nulimit -n {limit}\nexec {stitch} \"$@\"\n"));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (Stitch::builder().binary(script).yaml(yaml).start(), scratch)
}

#[test]
fn running_out_of_descriptors_is_said_survived_and_recovered_from() {
    let upstream = Upstream::echo();
    let (stitch, _scratch) = with_descriptors(
        64,
        &format!(
            "proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: '{}' }}, \
         shop: {{ endpoints: [{{ path: /a, response: shop }}] }} }}",
            upstream.url()
        ),
    );
    let mut first = kept(stitch.proxy(), 1).pop().unwrap();
    let start = Instant::now();
    let flood: Vec<_> = (0..80).map(|_| TcpStream::connect(stitch.proxy()).unwrap()).collect();
    stitch.wait_for_stderr(|line| line.contains("Cannot accept") && line.contains("open files"));
    // Who is in is served, and told what is wrong where a connection would be needed.
    first.send(ASK);
    assert_eq!(first.read_response().text(), "shop");
    let answer = first.request("GET", "/", &[("host", "users")], b"");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("open files"), "{}", answer.text());
    // Once per back-off, which is 50 ms.
    let said = stitch.stderr().matches("Cannot accept").count() as u128;
    let most = start.elapsed().as_millis() / 50 + 1;
    assert!(said <= most, "{said} times in {:?}", start.elapsed());
    drop(flood);
    assert_eq!(http::get(stitch.proxy(), "/a", &[("host", "shop")]).text(), "shop");
    assert_eq!(http::get(stitch.proxy(), "/", &[("host", "users")]).status, 200);
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    assert!(metrics.contains("stitch_accept_errors_total"), "{metrics}");
}

/// A service whose streams may be silent for so long.
fn patient(upstream: &Upstream, idle: &str) -> Stitch {
    Stitch::up(&format!(
        "services: {{ users: {{ url: '{}', timeout: {{ idle: {idle} }} }} }}",
        upstream.url()
    ))
}

#[test]
fn a_client_that_does_not_read_is_ended_in_bounded_memory() {
    let upstream = Upstream::http(|_| Answer::new(200, vec![b'x'; 64 << 20]));
    let stitch = patient(&upstream, "500ms");
    let before = stitch.peak_memory();
    let mut old = Connection::open(stitch.proxy());
    old.send("GET / HTTP/1.1\r\nhost: users\r\n\r\n");
    let mut new = h2::Connection::open(stitch.proxy());
    new.get("users", "/");
    assert!(wait_until(PATIENCE, || upstream.connections() == 2));
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0), "waited for ever");
    let grown = stitch.peak_memory() - before;
    assert!(grown < GROWTH, "grew by {grown} KiB");
    assert!(old.read_to_close().len() < 64 << 20);
    assert!(new.closes());
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_body_is_ended() {
    let upstream = Upstream::echo();
    let stitch = patient(&upstream, "500ms");
    for framing in ["content-length: 9", "transfer-encoding: chunked"] {
        let mut client = Connection::open(stitch.proxy());
        let start = Instant::now();
        client.send(format!("POST / HTTP/1.1\r\nhost: users\r\n{framing}\r\n\r\n1"));
        client.patience(PATIENCE);
        client.read_to_close();
        assert!(start.elapsed() < PATIENCE, "{framing}: waited for ever");
    }
    let mut client = h2::Connection::open(stitch.proxy());
    let stream = client.request(&h2::request("POST", "users", "/"), false);
    client.data(stream, "1", false);
    assert_ne!(client.finish(stream).end, Some(h2::End::Whole));
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
    assert!(upstream.requests().is_empty(), "it looked whole");
}

#[test]
fn a_byte_now_and_then_keeps_a_body_going() {
    let upstream = Upstream::echo();
    let stitch = patient(&upstream, "500ms");
    let mut client = Connection::open(stitch.proxy());
    client.send("POST / HTTP/1.1\r\nhost: users\r\ncontent-length: 6\r\n\r\n");
    client.patience(Duration::from_millis(200));
    for _ in 0..6 {
        assert_eq!(client.try_read_response_to("POST").unwrap_err().kind(), ErrorKind::WouldBlock);
        client.send("x");
    }
    client.patience(PATIENCE);
    assert_eq!(client.read_response().json()["body"], "xxxxxx");
}

/// Begins an answer of events or agrees to an upgrade, sends so many pieces, one every 200 ms, and
/// then nothing more.
fn dripping(pieces: usize) -> Upstream {
    Upstream::scripted(move |mut stream, _| {
        let mut head = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut head) else { return };
        let upgrade = String::from_utf8_lossy(&head[..count]).contains("upgrade: websocket");
        let answer = if upgrade {
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        };
        let _ = stream.write_all(answer.as_bytes());
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for _ in 0..pieces {
            // Passes the time: nobody sends anything.
            if stream.read(&mut head).is_ok() || stream.write_all(b"data: x\n\n").is_err() {
                return;
            }
        }
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.read(&mut head);
    })
}

#[test]
fn streams_outlive_the_requests_timer_and_end_by_the_idle_one() {
    const PIECES: usize = 8;
    let upstream = dripping(PIECES);
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}', timeout: {{ request: 300ms, idle: 600ms }} }} }}",
        upstream.url()
    ));
    for more in ["", "connection: upgrade\r\nupgrade: websocket\r\n"] {
        let mut client = Connection::open(stitch.proxy());
        let start = Instant::now();
        client.send(format!("GET / HTTP/1.1\r\nhost: users\r\n{more}\r\n"));
        let seen = String::from_utf8(client.read_to_close()).unwrap();
        let took = start.elapsed();
        assert_eq!(seen.matches("data: x\n\n").count(), PIECES, "cut after {took:?}: {seen}");
        // 1.6 s of pieces, and then the silence that is one too long.
        assert!((Duration::from_millis(2000)..PATIENCE).contains(&took), "{took:?}");
        assert!(!seen.ends_with("0\r\n\r\n"), "looks whole: {seen}");
    }
    let mut client = h2::Connection::open(stitch.proxy());
    let stream = client.get("users", "/");
    let answer = client.finish(stream);
    assert_eq!(answer.body.len(), PIECES * "data: x\n\n".len());
    assert_ne!(answer.end, Some(h2::End::Whole));
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}
