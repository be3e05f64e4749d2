//! Upstreams that break the rules: the caller gets a 502 or a broken-off body, never a clean lie.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Stitch, Upstream};

const PATIENCE: Duration = Duration::from_secs(10);

/// Answers the first request of each connection with these bytes and closes.
fn saying(bytes: impl Into<Vec<u8>>) -> (Upstream, Stitch) {
    let bytes = bytes.into();
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut chunk = [0; 4096];
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(count @ 1..) => seen.extend_from_slice(&chunk[..count]),
                _ => return,
            }
        }
        let _ = stream.write_all(&bytes);
    });
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}' }}, other: {{ endpoints: [{{ path: / }}] }} }}",
        upstream.url()
    ));
    (upstream, stitch)
}

fn reason(answer: &Response) -> (u16, Option<&str>) {
    (answer.status, answer.header("x-stitch-reason"))
}

#[test]
fn what_is_no_answer_is_a_502() {
    for bytes in [
        "garbage\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: 1\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12",
    ] {
        let (upstream, stitch) = saying(bytes);
        let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
        assert_eq!(reason(&answer), (502, Some("upstream_protocol")), "{bytes:?}");
        let problem = answer.json();
        assert_eq!(problem["service"], "users");
        assert_eq!(problem["endpoint"], upstream.addr().to_string());
        assert_eq!(http::get(stitch.proxy(), "/", &[("host", "other")]).status, 200);
    }
}

#[test]
fn switching_protocols_unasked_is_a_502() {
    let bytes = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let (_upstream, stitch) = saying(bytes);
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert_eq!(reason(&answer), (502, Some("upstream_protocol")));
}

#[test]
fn headers_without_measure_are_a_502() {
    let (_upstream, stitch) =
        saying(format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n\r\n", "a".repeat(2 << 20)));
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert_eq!(reason(&answer), (502, Some("upstream_protocol")));
}

#[test]
fn a_hundred_headers_more_or_less_pass() {
    let many: String = (0..90).map(|number| format!("x-{number}: {number}\r\n")).collect();
    let (_upstream, stitch) =
        saying(format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\nok"));
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert_eq!((answer.status, answer.header("x-89")), (200, Some("89")));
}

#[test]
fn closing_without_an_answer_is_a_502() {
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let (_upstream, stitch) = saying(bytes);
        let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
        assert_eq!(reason(&answer), (502, Some("upstream_reset")), "{bytes:?}");
    }
}

#[test]
fn a_body_that_breaks_off_is_never_whole() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
    ] {
        let (_upstream, stitch) = saying(bytes);
        let mut connection = Connection::open(stitch.proxy());
        connection.send("GET / HTTP/1.1\r\nhost: users\r\n\r\n");
        let error = match connection.try_read_response_to("GET") {
            // Broken off before the head had left, which is as good.
            Ok(answer) => {
                assert_eq!(answer.status, 502, "{bytes:?} became {answer:?}");
                continue;
            }
            Err(error) => error,
        };
        let broken = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
        assert!(broken, "{bytes:?}: {error}");
        assert!(!connection.read_to_close().ends_with(b"0\r\n\r\n"), "{bytes:?}");
    }
}

#[test]
fn a_body_without_a_length_ends_with_its_connection() {
    let (_upstream, stitch) = saying("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    let mut connection = Connection::open(stitch.proxy());
    let answer = connection.request("GET", "/", &[("host", "users")], b"");
    assert_eq!(answer.text(), "until the end");
    // It has an end of its own on our side.
    assert_eq!(connection.request("GET", "/", &[("host", "other")], b"").status, 200);
}

#[test]
fn an_answer_with_two_framings_passes_with_one() {
    let bytes = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (_upstream, stitch) = saying(bytes);
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert!(matches!(answer.status, 200 | 502), "{answer:?}");
    if answer.status == 200 {
        assert_eq!(answer.text(), "abc");
        assert_eq!(answer.header("content-length"), None);
    }
}

#[test]
fn a_coding_beneath_chunked_is_not_passed_on_as_content() {
    for coding in ["gzip, chunked", "gzip"] {
        let (_upstream, stitch) = saying(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        ));
        let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
        assert_eq!(reason(&answer), (502, Some("upstream_protocol")), "{coding}");
    }
}

#[test]
fn bytes_after_an_answer_are_nobody_elses_answer() {
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let (_upstream, stitch) =
        saying(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{poison}"));
    let mut connection = Connection::open(stitch.proxy());
    for _ in 0..5 {
        let answer = connection.request("GET", "/", &[("host", "users")], b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    connection.finish_sending();
    assert!(connection.closes_within(PATIENCE));
}

#[test]
fn an_http_1_0_upstream_is_understood() {
    let (_upstream, stitch) = saying("HTTP/1.0 200 OK\r\nserver: old\r\n\r\nold style");
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert_eq!((answer.version.as_str(), answer.text().as_str()), ("HTTP/1.1", "old style"));
}

#[test]
fn an_http_1_0_client_is_reset_when_a_body_breaks_off() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (bytes, whole) in [(format!("{head}0\r\n\r\n"), true), (head.to_owned(), false)] {
        let (_upstream, stitch) = saying(bytes);
        let mut connection = Connection::open(stitch.proxy());
        connection.send("GET / HTTP/1.0\r\nhost: users\r\n\r\n");
        let mut seen = Vec::new();
        let mut stream = connection.stream();
        match stream.read_to_end(&mut seen) {
            Ok(_) => assert!(whole && seen.ends_with(b"\r\n\r\nabc"), "taken for whole: {seen:?}"),
            Err(error) => {
                assert!(!whole && error.kind() == ErrorKind::ConnectionReset, "{error}");
            }
        }
    }
}
