//! Messages of HTTP/2: what is refused, and what becomes of lengths, cookies and hosts on their way
//! to a service that speaks HTTP/1.

use super::h2_rows::{self as rows, get};
use super::recorder::Recorder;
use std::io::{Read, Write};
use std::time::Duration;
use stitch_kit::h2::{Connection, End, Frame, Stream, block, flag, kind, request};
use stitch_kit::{Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const PROTOCOL_ERROR: u32 = 1;

/// What this request without a body comes to, on a connection of its own.
fn ask(recorder: &Recorder, fields: &[(&str, &str)]) -> (Connection, Stream) {
    let mut client = Connection::open(recorder.stitch.proxy());
    let stream = client.request(fields, true);
    let answer = client.finish(stream);
    (client, answer)
}

/// A request that is answered 400, after which the connection goes on.
fn is_bad(recorder: &Recorder, fields: &[(&str, &str)]) {
    let (mut client, answer) = ask(recorder, fields);
    assert_eq!(answer.status, Some(400), "{fields:?}");
    let next = client.get("users", "/next");
    assert_eq!(client.finish(next).status, Some(200), "{fields:?} took others along");
    assert!(!recorder.seen().contains("/a http"), "{fields:?}: {}", recorder.seen());
}

/// A request that is no message at all: its stream is broken off, and the others go on.
fn is_malformed(recorder: &Recorder, fields: &[(&str, &str)]) {
    let (mut client, answer) = ask(recorder, fields);
    assert_eq!(answer.end, Some(End::Reset(PROTOCOL_ERROR)), "{fields:?}: {answer:?}");
    let next = client.get("users", "/next");
    assert_eq!(client.finish(next).status, Some(200), "{fields:?} took others along");
    assert!(!recorder.seen().contains("/a http"), "{fields:?}: {}", recorder.seen());
}

#[test]
fn hosts_that_differ_or_miss_are_400() {
    let recorder = Recorder::new();
    for fields in rows::hosts() {
        is_bad(&recorder, &fields);
    }
    for fields in [get(&[("host", "Users")]), rows::bare(&[("host", "users")])] {
        let recorder = Recorder::new();
        assert_eq!(ask(&recorder, &fields).1.status, Some(200), "{fields:?}");
        let seen = recorder.seen();
        assert_eq!(seen.matches("\r\nhost: ").count(), 1, "{seen}");
    }
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let recorder = Recorder::new();
    for host in rows::AUTHORITIES {
        let (_, answer) = ask(&recorder, &request("GET", host, "/a"));
        let refused = answer.status == Some(400) || answer.end == Some(End::Reset(PROTOCOL_ERROR));
        assert!(refused, "{host:?}: {answer:?}");
    }
    assert!(!recorder.seen().contains("/a http"), "{}", recorder.seen());
}

#[test]
fn headers_of_one_connection_have_no_place() {
    let recorder = Recorder::new();
    for field in rows::OF_ONE_CONNECTION {
        is_malformed(&recorder, &get(&[*field]));
    }
    let recorder = Recorder::new();
    assert_eq!(ask(&recorder, &get(&[("te", "trailers")])).1.status, Some(200));
    assert!(recorder.seen().contains("\r\nte: trailers\r\n"), "{}", recorder.seen());
}

#[test]
fn names_and_values_that_http_1_would_read_differently_are_refused() {
    let recorder = Recorder::new();
    for field in rows::FIELDS {
        // What is no name at all may take the connection along.
        let (client, answer) = ask(&recorder, &get(&[*field]));
        let away = client.away().map(|(_, code)| code);
        let refused =
            answer.end == Some(End::Reset(PROTOCOL_ERROR)) || away == Some(PROTOCOL_ERROR);
        assert!(refused, "{field:?}: {answer:?}");
    }
    assert_eq!(recorder.seen(), "");
}

#[test]
fn pseudo_headers_come_once_and_first() {
    let recorder = Recorder::new();
    for fields in rows::pseudo() {
        is_malformed(&recorder, &fields);
    }
    for path in rows::PATHS {
        let (_, answer) = ask(&recorder, &request("GET", "users", path));
        let refused = answer.status == Some(400) || answer.end == Some(End::Reset(PROTOCOL_ERROR));
        assert!(refused, "{path:?}: {answer:?}");
    }
    assert!(!recorder.seen().contains("x-b"), "{}", recorder.seen());
}

#[test]
fn cookies_in_pieces_are_one_line_for_a_service_of_http_1() {
    let recorder = Recorder::new();
    let (_, answer) = ask(&recorder, &get(&[("cookie", "a=1"), ("cookie", "b=2")]));
    assert_eq!(answer.status, Some(200));
    assert!(recorder.seen().contains("\r\ncookie: a=1; b=2\r\n"), "{}", recorder.seen());
}

/// A POST with these fields and pieces of a body.
fn post(recorder: &Recorder, more: &[(&str, &str)], pieces: &[&str]) -> Stream {
    let mut client = Connection::open(recorder.stitch.proxy());
    let fields = [&request("POST", "users", "/a")[..], more].concat();
    let stream = client.request(&fields, pieces.is_empty());
    for (number, piece) in pieces.iter().enumerate() {
        client.data(stream, *piece, number + 1 == pieces.len());
    }
    client.finish(stream)
}

#[test]
fn a_length_that_is_not_the_bodys_never_looks_whole() {
    for &(length, pieces) in rows::LENGTHS {
        let recorder = Recorder::new();
        let answer = post(&recorder, &[("content-length", length)], pieces);
        assert_ne!(answer.status, Some(200), "{length} for {pieces:?}: {}", recorder.seen());
        assert!(wait_until(PATIENCE, || recorder.open() == 0), "{length} for {pieces:?}");
        let seen = recorder.seen();
        assert!(!seen.ends_with("0\r\n\r\n"), "{length} for {pieces:?} ended as if whole: {seen}");
        // What had passed before the mistake showed is less than was announced.
        let (head, body) = seen.split_once("\r\n\r\n").unwrap_or_default();
        let announced = head.split_once("content-length: ").map(|(_, rest)| rest);
        let announced = announced.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        let short = announced.is_none_or(|length| body.len() < length);
        assert!(short, "{length} for {pieces:?} arrived whole: {seen}");
    }
    let recorder = Recorder::new();
    let lengths = [("content-length", "3"), ("content-length", "4")];
    assert_ne!(post(&recorder, &lengths, &["abc"]).status, Some(200), "{}", recorder.seen());
}

#[test]
fn lengths_that_fit_and_none_at_all_pass() {
    for (more, line) in [
        (&[("content-length", "3")][..], "\r\ncontent-length: 3\r\n"),
        (&[], "\r\ntransfer-encoding: chunked\r\n"),
    ] {
        let recorder = Recorder::new();
        assert_eq!(post(&recorder, more, &["a", "bc"]).status, Some(200));
        let seen = recorder.seen();
        assert_eq!(seen.matches(line).count(), 1, "{seen}");
        let both = seen.contains("content-length") && seen.contains("transfer-encoding");
        assert!(!both, "{seen}");
    }
}

#[test]
fn a_body_that_the_client_breaks_off_never_looks_whole() {
    for more in [&[("content-length", "9")][..], &[]] {
        // By the stream, by the connection, and by one that ends without a word.
        for how in 0..3 {
            let recorder = Recorder::new();
            let mut client = Connection::open(recorder.stitch.proxy());
            let fields = [&request("POST", "users", "/a")[..], more].concat();
            let stream = client.request(&fields, false);
            client.data(stream, "abc", false);
            assert!(wait_until(PATIENCE, || recorder.seen().contains("abc")));
            match how {
                0 => client.send(&Frame::reset(stream, 8)),
                1 => client.send(&Frame::new(kind::DATA, 0, 0, [])),
                _ => client.socket().shutdown(std::net::Shutdown::Write).unwrap(),
            }
            assert!(wait_until(PATIENCE, || recorder.open() == 0), "{more:?} goes on, {how}");
            let seen = recorder.seen();
            assert!(!seen.ends_with("0\r\n\r\n"), "{more:?}, {how}: {seen}");
        }
    }
}

#[test]
fn trailers_cannot_smuggle_headers() {
    let recorder = Recorder::new();
    for &trailer in rows::TRAILERS {
        let mut client = Connection::open(recorder.stitch.proxy());
        let stream = client.request(&request("POST", "users", "/a"), false);
        client.data(stream, "abc", false);
        let flags = flag::END_HEADERS | flag::END_STREAM;
        client.send(&Frame::new(kind::HEADERS, flags, stream, block(&[trailer])));
        let _ = client.finish(stream);
    }
    let seen = recorder.seen();
    for piece in seen.split("\r\n0\r\n").skip(1) {
        assert!(piece.starts_with("\r\n"), "passed as a trailer: {piece}");
    }
}

#[test]
fn trailers_that_http_2_has_no_place_for_do_not_break_an_answer() {
    for (trailers, sections) in
        [("connection: close\r\nkeep-alive: 1\r\n", 1), ("connection: close\r\nx-sum: 1\r\n", 2)]
    {
        let upstream = Upstream::scripted(move |mut stream, _| {
            let mut head = [0; 4096];
            if stream.read(&mut head).is_ok_and(|count| count > 0) {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = write!(stream, "{head}3\r\nabc\r\n0\r\n{trailers}\r\n");
            }
        });
        let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
        let mut client = Connection::open(stitch.proxy());
        let stream = client.request(&get(&[("te", "trailers")]), true);
        let answer = client.finish(stream);
        assert_eq!((answer.status, answer.body.as_slice()), (Some(200), &b"abc"[..]));
        assert_eq!((answer.sections, answer.end), (sections, Some(End::Whole)), "{trailers:?}");
    }
}
