//! Upgraded connections: bytes both ways once the other side has agreed, none before.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stitch_kit::http::Connection;
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The handshake of RFC 6455 §1.3.
pub(super) fn handshake(connection: &mut Connection, early: &[u8]) {
    let head = format!(
        "GET /chat HTTP/1.1\r\nHost: users\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    connection.send([head.as_bytes(), early].concat());
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed inside a head");
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap().to_lowercase()
}

fn agreement() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

/// Agrees, and says back every masked frame as a server does, unmasked. Keeps the heads.
pub(super) fn websocket() -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let notes = heads.clone();
    let upstream = Upstream::scripted(move |mut stream, _| {
        notes.lock().unwrap().push(read_head(&mut stream));
        stream.write_all(agreement().as_bytes()).unwrap();
        let mut start = [0; 6];
        while stream.read_exact(&mut start).is_ok() {
            let mut payload = vec![0; usize::from(start[1] & 0x7f)];
            stream.read_exact(&mut payload).unwrap();
            for (at, byte) in payload.iter_mut().enumerate() {
                *byte ^= start[2 + at % 4];
            }
            stream.write_all(&[&[start[0], start[1] & 0x7f], payload.as_slice()].concat()).unwrap();
        }
    });
    (upstream, heads)
}

/// A masked text frame.
pub(super) fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(text.len()).unwrap();
    let payload = text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]);
    [0x81, 0x80 | length].into_iter().chain(mask).chain(payload).collect()
}

pub(super) fn users(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()))
}

#[test]
fn websocket_frames_pass_both_ways() {
    let (upstream, heads) = websocket();
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    handshake(&mut connection, b"");
    let answer = connection.read_response();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert!(answer.headers.lists("connection", "upgrade"));
    let head = heads.lock().unwrap()[0].clone();
    for line in
        ["upgrade: websocket\r\n", "connection: upgrade\r\n", "sec-websocket-version: 13\r\n"]
    {
        assert!(head.contains(line), "{head}");
    }
    for text in ["one", "two", ""] {
        connection.send(frame(text));
        let length = u8::try_from(text.len()).unwrap();
        let expected = [&[0x81, length], text.as_bytes()].concat();
        assert_eq!(connection.read_bytes(expected.len()), expected);
    }
    drop(connection);
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}

#[test]
fn an_upgrade_to_any_other_protocol_passes_both_ways() {
    let (told, heads) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::scripted(move |mut stream, _| {
        told.lock().unwrap().send(read_head(&mut stream)).unwrap();
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom/2\r\n\
                      Connection: Upgrade\r\nX-Told: yes\r\n\r\n";
        stream.write_all(agreed.as_bytes()).unwrap();
        let mut question = [0; 9];
        stream.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"\0question");
        stream.write_all(b"\xffanswer").unwrap();
    });
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    connection.send(
        "POST /custom HTTP/1.1\r\nhost: users\r\nupgrade: custom/2\r\nconnection: upgrade\r\n\
         content-length: 0\r\n\r\n",
    );
    let answer = connection.read_response();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("custom/2")));
    assert!(answer.headers.lists("connection", "upgrade"));
    assert_eq!(answer.header("x-told"), Some("yes"));
    assert_eq!(answer.header("sec-websocket-accept"), None);
    let head = heads.recv_timeout(PATIENCE).unwrap();
    for line in ["post /custom http/1.1\r\n", "upgrade: custom/2\r\n", "connection: upgrade\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    connection.send(b"\0question");
    assert_eq!(connection.read_to_close(), b"\xffanswer");
}

#[test]
fn no_byte_is_forwarded_before_the_agreement_and_none_is_lost() {
    let (seen, early) = mpsc::channel();
    let seen = Mutex::new(seen);
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let premature = stream.read(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let waited = premature.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        stream.write_all(agreement().as_bytes()).unwrap();
        let mut bytes = [0; 10];
        stream.read_exact(&mut bytes).unwrap();
        seen.lock().unwrap().send((waited, bytes)).unwrap();
    });
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    handshake(&mut connection, b"early bird");
    assert_eq!(connection.read_response().status, 101);
    let (waited, bytes) = early.recv_timeout(PATIENCE).unwrap();
    assert!(waited, "bytes came before the 101");
    assert_eq!(&bytes, b"early bird");
}

#[test]
fn a_client_that_resets_is_reset_at_its_service() {
    let (told, ends) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        stream.write_all(agreement().as_bytes()).unwrap();
        stream.read_exact(&mut frame("hi")).unwrap();
        stream.write_all(b"\x81\x02hi").unwrap();
        let end = stream.read(&mut [0]).map_err(|error| error.kind());
        told.lock().unwrap().send(end).unwrap();
    });
    let stitch = users(&upstream);
    for resets in [true, false] {
        let mut connection = Connection::open(stitch.proxy());
        handshake(&mut connection, b"");
        assert_eq!(connection.read_response().status, 101);
        connection.send(frame("hi"));
        if resets {
            // Bytes that nobody has read make the kernel reset what is closed.
            assert_eq!(connection.stream().peek(&mut [0]).unwrap(), 1);
        } else {
            assert_eq!(connection.read_bytes(4), b"\x81\x02hi");
        }
        drop(connection);
        let expected = if resets { Err(ErrorKind::ConnectionReset) } else { Ok(0) };
        assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), expected, "{resets}");
    }
}

#[test]
fn an_upstream_that_speaks_first_is_heard() {
    let upstream = Upstream::scripted(|mut stream, _| {
        read_head(&mut stream);
        stream.write_all((agreement() + "welcome").as_bytes()).unwrap();
    });
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    handshake(&mut connection, b"");
    assert_eq!(connection.read_response().status, 101);
    assert_eq!(connection.read_to_close(), b"welcome");
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream);
    let mut connection = Connection::open(stitch.proxy());
    let headers = [("host", "users"), ("connection", "Upgrade"), ("upgrade", "websocket")];
    for _ in 0..2 {
        let answer = connection.request("GET", "/?status=426", &headers, b"");
        assert_eq!(answer.status, 426);
        assert_eq!(answer.header("upgrade"), None);
    }
    assert_eq!(connection.request("GET", "/", &[("host", "users")], b"").status, 200);
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_mock_answers_an_upgrade_without_one() {
    let stitch = Stitch::up("services: { users: { endpoints: [{ path: /chat, response: hi }] } }");
    let mut connection = Connection::open(stitch.proxy());
    handshake(&mut connection, b"");
    let answer = connection.read_response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
}

#[test]
fn an_undeclared_target_can_be_upgraded_too() {
    let (upstream, heads) = websocket();
    let stitch = users(&Upstream::echo());
    let mut connection = Connection::open(stitch.proxy());
    let target = upstream.url();
    connection.send(format!(
        "GET {target}/chat HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\n\r\n"
    ));
    assert_eq!(connection.read_response().status, 101);
    connection.send(frame("hi"));
    assert_eq!(connection.read_bytes(4), b"\x81\x02hi");
    let head = heads.lock().unwrap()[0].clone();
    assert!(!head.contains("x-forwarded-") && !head.contains("x-request-id"), "{head}");
}
