//! Message framing: nothing that two parties could read differently reaches an upstream.

use super::recorder::Recorder;
use super::rows::{self, post};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn content_length_beside_transfer_encoding_never_passes() {
    for lines in rows::BOTH {
        let recorder = Recorder::new();
        let (mut connection, answer) = recorder.send(post(lines));
        assert!(connection.closes_within(PATIENCE), "still open after {lines:?}");
        let seen = recorder.seen();
        assert!(!seen.contains("/smuggled"), "{seen}");
        match answer.status {
            400 => assert_eq!(seen, ""),
            status => {
                assert_eq!(status, 200);
                assert!(seen.contains("transfer-encoding: chunked"), "{seen}");
                assert!(!seen.contains("content-length"), "{seen}");
            }
        }
    }
}

#[test]
fn transfer_encodings_that_do_not_end_in_chunked_are_refused() {
    let recorder = Recorder::new();
    for lines in rows::CODINGS {
        recorder.refuses(400, post(lines));
    }
}

#[test]
fn transfer_encoding_needs_http_1_1() {
    let recorder = Recorder::new();
    recorder.refuses(400, post("transfer-encoding: chunked").replacen("HTTP/1.1", "HTTP/1.0", 1));
}

#[test]
fn codings_before_chunked_are_not_passed_on_as_something_else() {
    let recorder = Recorder::new();
    let (_, answer) = recorder.send(post("transfer-encoding: gzip, chunked"));
    // Taking off only `chunked` would make gzip bytes look like the content itself.
    assert!(matches!(answer.status, 400 | 501), "{}: {}", answer.status, recorder.seen());
    assert!(!recorder.seen().contains("/a"), "{}", recorder.seen());
}

#[test]
fn lengths_that_are_not_one_number_are_refused() {
    let recorder = Recorder::new();
    for lines in rows::LENGTHS {
        recorder.refuses(400, post(lines));
    }
}

#[test]
fn a_length_that_is_said_twice_passes_once_or_not_at_all() {
    for lines in ["content-length: 3, 3", "content-length: 3\r\ncontent-length: 3"] {
        let recorder = Recorder::new();
        let text = format!("POST /a HTTP/1.1\r\nhost: users\r\n{lines}\r\n\r\nabc");
        let (_, answer) = recorder.send(text);
        let passed = recorder.seen().matches("content-length: 3\r\n").count();
        assert!(matches!((answer.status, passed), (400, 0) | (200, 1)), "{}", recorder.seen());
    }
}

#[test]
fn broken_chunks_end_the_exchange() {
    for chunks in rows::CHUNKS {
        let recorder = Recorder::new();
        let (mut connection, answer) = recorder.send(rows::broken(chunks));
        assert!((400..503).contains(&answer.status), "{chunks:?}: {}", answer.status);
        assert!(connection.closes_within(PATIENCE), "still open after {chunks:?}");
        assert!(!recorder.seen().contains("/smuggled"), "{}", recorder.seen());
        assert!(!recorder.seen().ends_with("0\r\n\r\n"), "ended as if whole: {}", recorder.seen());
    }
}

#[test]
fn a_request_that_breaks_off_is_never_whole_upstream() {
    for lines in ["content-length: 9", "transfer-encoding: chunked"] {
        let recorder = Recorder::new();
        let mut connection = stitch_kit::http::Connection::open(recorder.stitch.proxy());
        connection.send(format!("POST /a HTTP/1.1\r\nhost: users\r\n{lines}\r\n\r\n3\r\nabc\r\n"));
        assert!(stitch_kit::wait_until(PATIENCE, || recorder.seen().contains("abc")));
        drop(connection);
        assert!(stitch_kit::wait_until(PATIENCE, || recorder.open() == 0), "{lines}");
        assert!(!recorder.seen().ends_with("0\r\n\r\n"), "{}", recorder.seen());
    }
}
