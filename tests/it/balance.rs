//! Which of several endpoints gets a request, over sockets.

use stitch_kit::http::Connection;
use stitch_kit::{Answer, Stitch, Upstream};

/// Who answered each of so many requests.
fn ask(stitch: &Stitch, host: &str, requests: usize) -> String {
    let mut connection = Connection::open(stitch.proxy());
    let mut ask = || {
        let answer = connection.request("GET", "/", &[("host", host)], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    (0..requests).map(|_| ask()).collect()
}

#[test]
fn turns_weights_and_tiers_are_those_of_the_file() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Upstream::http(move |_| Answer::new(200, name)));
    let [a_url, b_url, c_url] = [a.url(), b.url(), c.url()];
    let stitch = Stitch::up(&format!(
        "defaults: {{ balance: round_robin, slow_start: 30s }}\n\
         services:\n\
         \x20 turns: {{ urls: ['{a_url}', '{b_url}', '{c_url}'] }}\n\
         \x20 weights: {{ urls: [{{ url: '{a_url}', weight: 3 }}, '{b_url}'] }}\n\
         \x20 tiers: {{ urls: [{{ url: '{a_url}', tier: 2 }}, '{b_url}', '{c_url}'] }}\n"
    ));
    assert_eq!(ask(&stitch, "turns", 30), "abc".repeat(10));
    let weights = ask(&stitch, "weights", 40);
    assert_eq!((weights.matches('a').count(), weights.matches('b').count()), (30, 10));
    assert_eq!(ask(&stitch, "tiers", 20), "bc".repeat(10));
}
