//! A service `users` with policies, and how it is asked.

use stitch_kit::http::{self, Response};
use stitch_kit::{Stitch, Upstream};

/// A proxy in front of a service `users` with these further keys.
pub fn in_front_of(upstream: &Upstream, keys: &str) -> Stitch {
    Stitch::up(&format!("services:\n  users:\n    url: '{}'\n{keys}", upstream.url()))
}

pub fn ask(stitch: &Stitch, method: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = [&[("host", "users")], headers].concat();
    http::send(stitch.proxy(), method, "/a", &headers, body.as_bytes())
}

pub fn get(stitch: &Stitch) -> Response {
    ask(stitch, "GET", &[], "")
}

/// A counter of `/metrics` with these labels; 0 when it is not there.
pub fn metric(stitch: &Stitch, name: &str, labels: &[&str]) -> f64 {
    let text = http::get(stitch.admin(), "/metrics", &[]).text();
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

/// What `call` gives to each of so many callers at once.
pub fn at_once<T: Send>(callers: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let call = &call;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|n| scope.spawn(move || call(n))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

/// How many answers have this status.
pub fn with_status(answers: &[Response], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}
