//! Hedging: a second attempt beside one that takes long; the first good answer wins.

use super::{ask, get, in_front_of, metric};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stitch_kit::{Answer, Stitch, Upstream, wait_until};

/// Every request with an odd number is slow.
fn every_other_is_slow() -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::http(move |_| match asked.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Answer::new(200, "slow").after(Duration::from_secs(5)),
        _ => Answer::new(200, "quick"),
    })
}

#[test]
fn a_read_that_takes_long_is_asked_again_and_the_first_answer_wins() {
    let upstream = every_other_is_slow();
    let stitch = Stitch::up(&format!(
        "proxy: {{ access_log: {{ only: all }} }}\nservices:\n  users:\n    url: '{}'\n    \
         retry: {{ hedge: {{ after: 100ms }} }}\n",
        upstream.url()
    ));
    let start = Instant::now();
    let answer = get(&stitch);
    assert_eq!((answer.status, answer.text().as_str()), (200, "quick"));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(3), "{took:?}");
    let requests = upstream.requests();
    let numbers: Vec<_> =
        requests.iter().map(|request| request.header("x-stitch-attempt").unwrap()).collect();
    assert_eq!(numbers, ["1", "2"]);
    let told = || stitch.stderr().contains("attempts=2");
    assert!(wait_until(Duration::from_secs(5), told), "{}", stitch.stderr());
    for outcome in ["\"hedged\"", "\"hedge_won\""] {
        assert!(metric(&stitch, "stitch_retries_total", &[outcome]).eq(&1.0), "{outcome}");
    }
}

#[test]
fn a_write_is_never_hedged() {
    let upstream = Upstream::http(|_| Answer::new(200, "ok").after(Duration::from_millis(300)));
    let stitch = in_front_of(&upstream, "    retry: { hedge: { after: 50ms, max: 3 } }\n");
    assert_eq!(ask(&stitch, "POST", &[], "x").status, 200);
    assert_eq!(ask(&stitch, "PUT", &[], "x").status, 200);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_percentile_says_nothing_until_there_were_answers_enough() {
    let asked = AtomicUsize::new(0);
    let upstream = Upstream::http(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        // The first one is slow, and so is the one after many quick ones.
        0 | 41 => Answer::new(200, "slow").after(Duration::from_millis(700)),
        _ => Answer::new(200, "quick"),
    });
    let stitch = in_front_of(&upstream, "    retry: { hedge: { after: p95 } }\n");
    assert_eq!(get(&stitch).text(), "slow");
    for _ in 0..40 {
        assert_eq!(get(&stitch).text(), "quick");
    }
    assert_eq!(get(&stitch).text(), "quick", "hedged");
}
