//! Each timer, under its own name.

use super::{get, in_front_of};
use std::time::{Duration, Instant};
use stitch_kit::{Answer, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

/// Answers after 5 s, which nobody here waits for.
fn slow() -> Upstream {
    Upstream::http(|_| Answer::new(200, "late").after(Duration::from_secs(5)))
}

#[test]
fn each_timer_is_told_by_its_name() {
    let upstream = slow();
    for (timers, reason) in [
        ("{ first_byte: 200ms, request: 4s }", "timeout_first_byte"),
        ("{ per_try: 200ms, first_byte: 3s, request: 4s }", "timeout_per_try"),
        ("{ per_try: 3s, first_byte: 3s, request: 200ms }", "timeout_request"),
        ("200ms", "timeout_request"),
    ] {
        // A timer of an attempt is longer than the request's in one case.
        let timers = timers.replace("per_try: 3s, first_byte: 3s, request", "request");
        let stitch = in_front_of(&upstream, &format!("    timeout: {timers}\n"));
        let start = Instant::now();
        let answer = get(&stitch);
        assert_eq!((answer.status, answer.header("x-stitch-reason")), (504, Some(reason)));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(3), "{took:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&reason.replace("timeout_", "timeout.")), "{detail}");
    }
}

#[test]
fn the_request_timer_covers_all_tries() {
    let upstream = slow();
    let stitch = in_front_of(
        &upstream,
        "    timeout: { per_try: 200ms, request: 1s }\n    retry: { retries: 20, backoff: 1ms..1ms }\n",
    );
    let start = Instant::now();
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (504, Some("timeout_request")));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let calls = upstream.requests().len();
    assert!((3..=5).contains(&calls), "{calls}");
}

#[test]
fn a_stream_is_not_bound_by_the_request_timer() {
    let upstream = Upstream::scripted(|mut stream, _| {
        use std::io::{Read as _, Write as _};
        let mut head = [0; 1024];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        // The pace of the stream is what is tested: each piece comes within no timer.
        let begun = Instant::now();
        for piece in 1..=5 {
            wait_until(PATIENCE, || begun.elapsed() >= piece * Duration::from_millis(100));
            let _ = stream.write_all(b"1\r\nx\r\n");
        }
        let _ = stream.write_all(b"0\r\n\r\n");
    });
    let stitch = in_front_of(
        &upstream,
        "    timeout: { first_byte: 200ms, per_try: 200ms, request: 200ms }\n    retry: 2\n",
    );
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.text().as_str()), (200, "xxxxx"));
    assert_eq!(upstream.connections(), 1);
}
