//! A service that does as it is told, and what the API tells of breakers.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Request, Stitch, Upstream, wait_until};

pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// A service whose answers are decided as the test goes on, and counted.
pub(super) struct Service {
    pub(super) upstream: Upstream,
    state: Arc<Told>,
}

#[derive(Default)]
struct Told {
    status: AtomicU16,
    /// Of `/health`, which does not count as asking.
    health: AtomicU16,
    /// Requests whose path begins with this wait.
    held: Mutex<Option<&'static str>>,
    let_go: Condvar,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most: AtomicUsize,
}

impl Service {
    /// Answers 200 at first.
    pub(super) fn start() -> Self {
        Self::on((Ipv4Addr::LOCALHOST, 0).into())
    }

    pub(super) fn on(address: SocketAddr) -> Self {
        let state = Arc::new(Told::default());
        for status in [&state.status, &state.health] {
            status.store(200, Ordering::SeqCst);
        }
        let told = state.clone();
        Self { upstream: Upstream::http_on(address, move |request| told.answer(request)), state }
    }

    pub(super) fn is(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    pub(super) fn health_is(&self, status: u16) {
        self.state.health.store(status, Ordering::SeqCst);
    }

    /// Requests to this path, and below, get no answer until [`Self::let_go`].
    pub(super) fn hold(&self, path: &'static str) {
        *self.state.held.lock().unwrap() = Some(path);
    }

    pub(super) fn let_go(&self) {
        *self.state.held.lock().unwrap() = None;
        self.state.let_go.notify_all();
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Requests that it has not answered yet.
    pub(super) fn at_once(&self) -> usize {
        self.state.at_once.load(Ordering::SeqCst)
    }

    /// The most that were not answered at the same time.
    pub(super) fn most(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Told {
    fn answer(&self, request: &Request) -> Answer {
        if request.path() == "/health" {
            return Answer::new(self.health.load(Ordering::SeqCst), "checked");
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(at_once, Ordering::SeqCst);
        let is_held =
            |held: &mut Option<&str>| held.is_some_and(|at| request.path().starts_with(at));
        drop(self.let_go.wait_while(self.held.lock().unwrap(), is_held).unwrap());
        // Before its answer leaves: whoever has that may be the next one at once.
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Answer::new(self.status.load(Ordering::SeqCst), "told")
    }
}

/// What the API says of a breaker.
#[track_caller]
pub(super) fn breaker(stitch: &Stitch, id: &str) -> Value {
    http::get(stitch.admin(), &format!("/api/breakers/{id}"), &[]).json()["data"].take()
}

pub(super) fn state(stitch: &Stitch, id: &str) -> String {
    breaker(stitch, id)["state"].as_str().unwrap().to_owned()
}

#[track_caller]
pub(super) fn wait_for(stitch: &Stitch, id: &str, wanted: &str) {
    let is = || state(stitch, id) == wanted;
    assert!(wait_until(PATIENCE, is), "no {wanted}: {}", breaker(stitch, id));
}

/// Sets a breaker's mode.
pub(super) fn set_mode(stitch: &Stitch, id: &str, body: &str) -> Response {
    http::send(stitch.admin(), "PUT", &format!("/api/breakers/{id}/mode"), &[], body.as_bytes())
}

/// What is said of an answer that a breaker gave: status, source and reason.
pub(super) fn told(answer: &Response) -> (u16, &str, &str) {
    let header = |name| answer.header(name).unwrap_or("-");
    (answer.status, header("x-stitch-source"), header("x-stitch-reason"))
}

pub(super) const REFUSED: (u16, &str, &str) = (503, "-", "breaker_open");

/// Asks so often, one after the other; gives the statuses.
pub(super) fn statuses(stitch: &Stitch, times: usize) -> Vec<u16> {
    (0..times).map(|_| super::get(stitch).status).collect()
}

/// Asks from so many threads at once; their answers come as they come.
pub(super) fn at_once(stitch: &Stitch, count: usize, path: &str) -> Receiver<Response> {
    let (answered, answers) = channel();
    for _ in 0..count {
        let (proxy, path, answered) = (stitch.proxy(), path.to_owned(), answered.clone());
        std::thread::spawn(move || {
            // Whoever counted may have seen enough.
            let _ = answered.send(http::get(proxy, &path, &[("host", "users")]));
        });
    }
    answers
}

/// A reader of `/api/breakers/events`.
pub(super) struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    /// From behind this one; from 0: all that are remembered.
    pub(super) fn after(stitch: &Stitch, last: u64) -> Self {
        let mut stream = TcpStream::connect(stitch.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = "GET /api/breakers/events HTTP/1.1\r\nhost: localhost\r\nlast-event-id: ";
        stream.write_all(format!("{head}{last}\r\n\r\n").as_bytes()).unwrap();
        Self(BufReader::new(stream).lines())
    }

    /// The next transition. The lines of chunks and of heads are none.
    #[track_caller]
    pub(super) fn next(&mut self) -> Value {
        let mut lines = self.0.by_ref().map(Result::unwrap);
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str(&data.unwrap()).unwrap()
    }

    /// The next transition to this state.
    #[track_caller]
    pub(super) fn until(&mut self, state: &str) -> Value {
        loop {
            let event = self.next();
            if event["to"] == state {
                return event;
            }
        }
    }
}

/// From, to and cause of a transition.
pub(super) fn shift(event: &Value) -> [&str; 3] {
    ["from", "to", "cause"].map(|key| event[key].as_str().unwrap())
}

/// From one time of the API to another, neither of them more than a day apart.
pub(super) fn between(from: &Value, to: &Value) -> Duration {
    let millis = |at: &Value| {
        let time = at.as_str().unwrap().split('T').nth(1).unwrap().trim_end_matches('Z');
        let parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
        parts.fold(0.0, |sum, part| sum * 60.0 + part)
    };
    Duration::from_secs_f64((millis(to) - millis(from)).rem_euclid(86_400.0))
}
