//! Retries: when, how often, with what, and what they never do.

use super::{ask, get, in_front_of, metric};
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stitch_kit::http;
use stitch_kit::{Answer, Stitch, Upstream, free_port};

/// Fails this often, then answers 200 with what it was sent.
fn failing(times: usize, status: u16) -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::http(move |request| match asked.fetch_add(1, Ordering::Relaxed) < times {
        true => Answer::new(status, "failed"),
        false => Answer::new(200, request.body.clone()),
    })
}

#[test]
fn what_fails_twice_and_then_works_is_a_success() {
    let upstream = failing(2, 503);
    let stitch = in_front_of(&upstream, "    retry: 3\n");
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.header("x-stitch-source")), (200, Some("real")));
    let requests = upstream.requests();
    let attempts: Vec<_> =
        requests.iter().map(|request| request.header("x-stitch-attempt").unwrap()).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    assert!(metric(&stitch, "stitch_retries_total", &["\"users\"", "\"retried\""]).eq(&2.0));
}

#[test]
fn what_keeps_failing_is_answered_with_the_last_failure() {
    let upstream = failing(usize::MAX, 502);
    let stitch = in_front_of(&upstream, "    retry: 2\n");
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.text().as_str()), (502, "failed"));
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_status_is_retried_only_if_it_is_named() {
    let upstream = failing(1, 500);
    let stitch = in_front_of(&upstream, "    retry: 3\n");
    assert_eq!(get(&stitch).status, 500, "500 is not among the defaults");
    assert_eq!(upstream.requests().len(), 1);
    let upstream = failing(1, 500);
    let stitch = in_front_of(&upstream, "    retry: { retries: 3, on: [5xx] }\n");
    assert_eq!(get(&stitch).status, 200);
}

#[test]
fn a_post_is_repeated_only_with_a_key_or_a_word_that_it_may_be() {
    for (keys, headers, status, calls) in [
        ("    retry: 3\n", &[][..], 503, 1),
        ("    retry: 3\n", &[("idempotency-key", "7")][..], 200, 2),
        ("    retry: { retries: 3, unsafe: true }\n", &[][..], 200, 2),
    ] {
        let upstream = failing(1, 503);
        let stitch = in_front_of(&upstream, keys);
        let answer = ask(&stitch, "POST", headers, "order");
        assert_eq!(answer.status, status, "{keys}{headers:?}");
        assert_eq!(upstream.requests().len(), calls, "{keys}{headers:?}");
        assert!(upstream.requests().iter().all(|request| request.body == b"order"));
    }
}

#[test]
fn a_body_is_sent_again_whole_up_to_64_kib() {
    let upstream = failing(1, 503);
    let stitch = in_front_of(&upstream, "    retry: 1\n");
    let body = "x".repeat(64 * 1024);
    let answer = ask(&stitch, "PUT", &[], &body);
    assert_eq!((answer.status, answer.text().len()), (200, body.len()));
    let upstream = failing(1, 503);
    let stitch = in_front_of(&upstream, "    retry: 1\n");
    assert_eq!(ask(&stitch, "PUT", &[], &(body + "x")).status, 503, "too large to be kept");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_connection_that_dies_is_retried() {
    let upstream = Upstream::scripted(|mut stream, connection| {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head);
        if connection >= 2 {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
    });
    let stitch = in_front_of(&upstream, "    retry: 3\n");
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn another_endpoint_is_tried_next() {
    let (well, dead) = (Upstream::echo(), free_port());
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    urls: ['{}', 'http://127.0.0.2:{dead}']\n    retry: 1\n",
        well.url()
    ));
    for _ in 0..40 {
        // POST: a refused connection is safe to retry.
        assert_eq!(ask(&stitch, "POST", &[], "x").status, 200);
    }
    assert_eq!(well.requests().len(), 40);
}

#[test]
fn retry_after_is_waited_for_but_not_past_the_deadline() {
    let asked = AtomicUsize::new(0);
    let upstream = Upstream::http(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::new(503, "").header("retry-after", "1"),
        1 => Answer::new(200, "ok"),
        _ => Answer::new(503, "").header("retry-after", "60"),
    });
    let stitch = in_front_of(&upstream, "    retry: 1\n    timeout: 10s\n");
    let start = Instant::now();
    assert_eq!(get(&stitch).status, 200);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(get(&stitch).status, 503);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(upstream.requests().len(), 3, "a minute is too long, so there was no retry");
}

#[test]
fn the_budget_bounds_retries_when_everything_fails() {
    let upstream = Upstream::http(|_| Answer::new(503, "").after(Duration::from_millis(50)));
    let stitch = Arc::new(in_front_of(
        &upstream,
        "    retry: { retries: 3, backoff: 1ms..1ms, budget: 10% }\n",
    ));
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let stitch = stitch.clone();
            std::thread::spawn(move || get(&stitch).status)
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 503));
    let calls = upstream.requests().len();
    // 40 requests with 3 retries each would be 160. 10 % of 40 in flight are 4 at once.
    assert!(calls < 80, "{calls} calls for 40 requests");
    let denied = metric(&stitch, "stitch_retries_total", &["\"denied_by_budget\""]);
    assert!(denied > 0.0, "{denied}");
}

#[test]
fn a_mock_is_retried_like_anybody() {
    let stitch = Stitch::up(
        "services:\n  users:\n    retry: { retries: 2, on: [5xx] }\n    endpoints:\n      \
         - { path: /a, method: ANY, failure_rate: 100%, response: ok }\n",
    );
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.header("x-stitch-source")), (500, Some("mock")));
    let hits = || {
        http::get(stitch.admin(), "/api/services/users", &[]).json()["data"]["endpoints"][0]["hits"]
            .clone()
    };
    assert_eq!(hits(), 3);
    assert_eq!(ask(&stitch, "POST", &[], "x").status, 500);
    assert_eq!(hits(), 4);
    assert_eq!(http::get(stitch.proxy(), "/none", &[("host", "users")]).status, 404);
}

#[test]
fn the_access_log_counts_attempts() {
    let upstream = failing(2, 503);
    let stitch = Stitch::up(&format!(
        "proxy: {{ access_log: {{ only: all }} }}\nservices:\n  users:\n    url: '{}'\n    \
         retry: 3\n",
        upstream.url()
    ));
    assert_eq!(get(&stitch).status, 200);
    assert!(stitch_kit::wait_until(Duration::from_secs(10), || {
        stitch.stderr().contains("attempts=3")
    }));
}
