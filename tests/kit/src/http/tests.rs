//! The client against scripted peers: what each kind of answer looks like from here.

use super::*;
use crate::upstream::Upstream;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// A peer that reads until an empty line, says `answer`, and closes.
fn answering(answer: &'static [u8]) -> Upstream {
    Upstream::scripted(move |mut stream, _| {
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
            seen.push(byte[0]);
        }
        let _ = stream.write_all(answer);
    })
}

#[test]
fn a_response_with_interim_answers_and_trailers() {
    let peer = answering(
        b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 Fine\r\n\
          transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n",
    );
    let answer = get(peer.addr(), "/", &[]);
    assert_eq!((answer.status, answer.reason.as_str()), (200, "Fine"));
    assert_eq!(answer.interim[0].0, 103);
    assert_eq!(answer.interim[0].1.get("link"), Some("a"));
    assert_eq!((answer.text().as_str(), answer.trailers.get("x-sum")), ("ok", Some("2")));
}

#[test]
fn raw_gives_the_bytes_of_one_response_or_all_until_close() {
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(raw(answering(whole).addr(), "GET / HTTP/1.1\r\n\r\n"), whole);
    let garbage = b"\x00\x01 not http";
    assert_eq!(raw(answering(garbage).addr(), "GET / HTTP/1.1\r\n\r\n"), garbage);
}

#[test]
fn a_body_without_framing_ends_with_the_connection() {
    let peer = answering(b"HTTP/1.0 200 OK\r\n\r\nall of it");
    assert_eq!(get(peer.addr(), "/", &[]).text(), "all of it");
}

#[test]
fn a_truncated_body_is_an_unexpected_end() {
    let peer = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    let mut connection = Connection::open(peer.addr());
    connection.send("GET / HTTP/1.1\r\n\r\n");
    let error = connection.try_read_response_to("GET").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_not_http_is_invalid() {
    let peer = answering(b"SMTP 220 hello\r\n\r\n");
    let mut connection = Connection::open(peer.addr());
    connection.send("\r\n\r\n");
    let error = connection.try_read_response_to("GET").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
#[should_panic(expected = "read so far: \"HTTP/1.1 200 OK")]
fn a_missing_rest_is_shown() {
    let peer = answering(b"HTTP/1.1 200 OK\r\n");
    let _ = get(peer.addr(), "/", &[]);
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        ("CONNECT", "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ] {
        let peer = answering(head.as_bytes());
        let answer = send(peer.addr(), method, "/", &[], b"");
        assert!(answer.body.is_empty(), "{method}");
    }
}

#[test]
fn bytes_after_an_upgrade_are_read_as_bytes() {
    let peer = answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello");
    let mut connection = Connection::open(peer.addr());
    connection.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.read_response().status, 101);
    assert_eq!(connection.read_bytes(3), b"hel");
    assert_eq!(connection.read_to_close(), b"lo");
    assert!(connection.closes_within(Duration::from_secs(5)));
}

#[test]
fn a_silent_peer_is_not_waited_for_beyond_patience() {
    let (hold, release) = std::sync::mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let peer = Upstream::scripted(move |_stream, _| {
        let _ = release.lock().map(|release| release.recv());
    });
    let mut connection = Connection::open(peer.addr());
    assert!(!connection.closes_within(Duration::from_millis(20)));
    connection.patience(Duration::from_millis(20));
    let error = connection.try_read_response_to("GET").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(hold);
    connection.finish_sending();
    assert!(connection.closes_within(Duration::from_secs(5)));
}

#[test]
fn a_connection_is_kept_alive_between_requests() {
    let upstream = Upstream::echo();
    let mut connection = Connection::open(upstream.addr());
    for number in 1..=3 {
        let answer = connection.request("POST", "/x", &[("host", "h")], b"body");
        assert_eq!(answer.json()["served"], number);
        assert_eq!(answer.json()["body"], "body");
    }
    assert_eq!(upstream.connections(), 1);
    assert!(connection.stream().peer_addr().is_ok());
}
