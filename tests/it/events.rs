//! Events: what endpoints publish and subscribers do, inside the process and over a real NATS
//! server, which may go away and come back.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use stitch_kit::http;
use stitch_kit::{Answer, NatsServer, Request, Stitch, Upstream, free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(2);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// NATS by hand: lines over TCP, as `telnet` would.
pub(crate) struct NatsClient {
    reader: BufReader<TcpStream>,
}

impl NatsClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { reader: BufReader::new(stream) };
        assert!(client.line().starts_with("INFO "));
        client.say(r#"CONNECT {"verbose":false,"headers":true}"#);
        client.settle();
        client
    }

    fn say(&mut self, line: &str) {
        self.reader.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("the server says nothing");
        line.trim_end().to_owned()
    }

    /// Until the server has done everything said so far.
    fn settle(&mut self) {
        self.say("PING");
        while self.line() != "PONG" {}
    }

    pub(crate) fn subscribe(&mut self, subject: &str) {
        self.say(&format!("SUB {subject} 1"));
        self.settle();
    }

    pub(crate) fn publish(&mut self, subject: &str, reply: &str, data: &Value) {
        let data = data.to_string();
        self.say(&format!("PUB {subject} {reply} {}\r\n{data}", data.len()));
    }

    /// The next message: subject, header lines, data.
    pub(crate) fn next(&mut self) -> (String, String, Value) {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split(' ').collect();
            let size = |word: Option<&&str>| word.unwrap().parse::<usize>().unwrap();
            let (head, total) = match words[0] {
                "MSG" => (0, size(words.last())),
                "HMSG" => (size(words.get(words.len() - 2)), size(words.last())),
                "PING" => {
                    self.say("PONG");
                    continue;
                }
                _ => panic!("the server says {line}"),
            };
            let mut bytes = vec![0; total + 2];
            self.reader.read_exact(&mut bytes).unwrap();
            let headers = String::from_utf8(bytes[..head].to_vec()).unwrap();
            let data = serde_json::from_slice(&bytes[head..total]).unwrap();
            return (words[1].to_owned(), headers, data);
        }
    }
}

/// A subscriber that is real, so that what reaches it can be looked at.
fn subscriber() -> Upstream {
    Upstream::http(|_| Answer::new(202, ""))
}

fn shop(events: &str, subscriber: &Upstream) -> String {
    format!(
        "
events: {events}
services:
  payments:
    endpoints:
      - path: /charges/{{id}}
        method: POST
        response: {{ status: 201, body: {{ id: \"{{{{ request.path.id }}}}\" }} }}
        nats_publish:
          - subject: \"payments.{{{{ request.path.id }}}}.done\"
            data: {{ id: \"{{{{ response.body.id }}}}\", amount: \"{{{{ request.body.amount }}}}\" }}
      - path: /slow
        method: POST
        nats_publish: {{ subject: payments.late.done, data: {{ late: true }}, delay: 300ms }}
  notifier:
    url: {}
    nats_subscribe:
      - {{ subject: \"payments.*.done\", action: \"POST /notify/{{{{ message.data.id }}}}\" }}
  archive:
    endpoints: [{{ path: /keep, method: POST }}]
    nats_subscribe: {{ subject: \"payments.>\", action: POST /keep }}
  quotes:
    nats_subscribe: {{ subject: quotes.get, reply: {{ price: 4.2, of: \"{{{{ message.data.symbol }}}}\" }} }}
",
        subscriber.url()
    )
}

fn charge(stitch: &Stitch, id: &str) {
    let trace = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers =
        [("host", "payments"), ("content-type", "application/json"), ("traceparent", &trace)];
    let target = format!("/charges/{id}");
    let answer = http::send(stitch.proxy(), "POST", &target, &headers, br#"{"amount":3}"#);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn arrived(subscriber: &Upstream, target: &str) -> Option<Request> {
    let mut found = None;
    wait_until(PATIENCE, || {
        found = subscriber.requests().into_iter().find(|request| request.target == target);
        found.is_some()
    });
    found
}

fn hits(stitch: &Stitch, service: &str) -> u64 {
    let target = format!("/api/services/{service}");
    let service = http::get(stitch.admin(), &target, &[]).json();
    service["data"]["endpoints"][0]["hits"].as_u64().unwrap()
}

/// What holds on either bus.
fn an_event_becomes_a_request(stitch: &Stitch, subscriber: &Upstream) {
    charge(stitch, "c7");
    let request = arrived(subscriber, "/notify/c7").unwrap_or_else(|| panic!("no event arrived"));
    assert_eq!(request.method, "POST");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({ "id": "c7", "amount": 3 }));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-stitch-event"), Some("payments.c7.done"));
    let trace = request.header("traceparent").unwrap();
    assert!(trace.contains(TRACE), "the trace ends at the event: {trace}");
    // `>` takes it too, and a mock is called like a real service.
    assert!(wait_until(PATIENCE, || hits(stitch, "archive") == 1), "{}", stitch.stderr());
}

#[test]
fn an_event_becomes_a_request_inside_the_process() {
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop("in-process", &subscriber));
    assert_eq!(stitch.ready().json()["events"], "in-process");
    an_event_becomes_a_request(&stitch, &subscriber);
}

#[test]
fn an_event_becomes_a_request_over_nats() {
    let nats = NatsServer::start();
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop(&nats.url(), &subscriber));
    assert_eq!(stitch.ready().json()["events"], nats.url());
    an_event_becomes_a_request(&stitch, &subscriber);
}

#[test]
fn a_delayed_event_comes_after_its_answer() {
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop("in-process", &subscriber));
    assert_eq!(http::send(stitch.proxy(), "POST", "/slow", &[], b"").status, 200);
    assert_eq!(subscriber.requests().len(), 0, "published before its delay");
    assert!(wait_until(PATIENCE, || hits(&stitch, "archive") == 1));
}

#[test]
fn events_travel_to_and_from_programs_that_know_nats_alone() {
    let nats = NatsServer::start();
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop(&nats.url(), &subscriber));
    let mut outside = NatsClient::connect(nats.addr());
    outside.subscribe("payments.*.done");
    charge(&stitch, "out");
    let (subject, headers, data) = outside.next();
    assert_eq!(subject, "payments.out.done");
    assert_eq!(data, json!({ "id": "out", "amount": 3 }));
    assert!(headers.contains(TRACE), "no trace in {headers:?}");
    // The other way round.
    outside.publish("payments.in.done", "", &json!({ "id": "in" }));
    let request = arrived(&subscriber, "/notify/in").expect("an event from outside is lost");
    assert_eq!(request.body, br#"{"id":"in"}"#);
}

#[test]
fn an_event_sent_right_after_ready_is_not_lost() {
    let nats = NatsServer::start();
    let subscriber = subscriber();
    let mut outside = NatsClient::connect(nats.addr());
    let _stitch = Stitch::up(&shop(&nats.url(), &subscriber));
    outside.publish("payments.first.done", "", &json!({ "id": "first" }));
    assert!(arrived(&subscriber, "/notify/first").is_some(), "ready, and not listening");
}

#[test]
fn a_question_over_nats_gets_its_reply() {
    let nats = NatsServer::start();
    let _stitch = Stitch::up(&shop(&nats.url(), &subscriber()));
    let mut outside = NatsClient::connect(nats.addr());
    outside.subscribe("inbox.7");
    outside.publish("quotes.get", "inbox.7", &json!({ "symbol": "ACME" }));
    let (subject, _, data) = outside.next();
    assert_eq!(subject, "inbox.7");
    assert_eq!(data, json!({ "price": 4.2, "of": "ACME" }));
}

#[test]
fn wildcards_take_what_they_should_and_nothing_else() {
    let nats = NatsServer::start();
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop(&nats.url(), &subscriber));
    let mut outside = NatsClient::connect(nats.addr());
    // `*` is one token: neither none nor two.
    for subject in ["payments.done", "payments.a.b.done", "payments.x.failed", "payment.a.done"] {
        outside.publish(subject, "", &json!({ "id": "no" }));
    }
    outside.publish("payments.y.done", "", &json!({ "id": "yes" }));
    assert!(arrived(&subscriber, "/notify/yes").is_some());
    assert_eq!(subscriber.requests().len(), 1, "{:?}", subscriber.requests());
    // `>` takes one token and more: all four under `payments`.
    assert!(wait_until(PATIENCE, || hits(&stitch, "archive") == 4), "{}", hits(&stitch, "archive"));
}

#[test]
fn a_server_that_went_away_and_returned_finds_every_subscription() {
    let mut nats = NatsServer::start();
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop(&nats.url(), &subscriber));
    an_event_becomes_a_request(&stitch, &subscriber);
    nats.stop();
    stitch.wait_for_stderr(|line| line.contains("Lost the event bus"));
    // Requests are answered meanwhile, and what they publish waits.
    charge(&stitch, "meanwhile");
    nats.restart();
    assert!(arrived(&subscriber, "/notify/meanwhile").is_some(), "{}", stitch.stderr());
    let mut outside = NatsClient::connect(nats.addr());
    outside.subscribe("inbox.8");
    outside.publish("quotes.get", "inbox.8", &json!({ "symbol": "B" }));
    assert_eq!(outside.next().2["of"], "B");
    charge(&stitch, "after");
    assert!(arrived(&subscriber, "/notify/after").is_some());
    assert!(wait_until(PATIENCE, || hits(&stitch, "archive") == 3), "{}", hits(&stitch, "archive"));
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut nats = NatsServer::start();
    nats.stop();
    let subscriber = subscriber();
    let stitch = Stitch::up(&shop(&nats.url(), &subscriber));
    charge(&stitch, "early");
    nats.restart();
    assert!(arrived(&subscriber, "/notify/early").is_some(), "{}", stitch.stderr());
}

fn with_infra(port: u16) -> String {
    format!(
        "services:\n  nats: {{ type: infra, image: 'nats:2.10-alpine', ports: ['{port}:4222'] }}\n  \
         shop: {{ endpoints: [{{ path: /a, nats_publish: {{ subject: a }} }}] }}\n"
    )
}

#[test]
fn auto_takes_the_declared_server_when_it_answers_and_says_so() {
    let nats = NatsServer::start();
    let stitch = Stitch::up(&with_infra(nats.addr().port()));
    assert_eq!(stitch.ready().json()["events"], nats.url());
    let line = stitch.wait_for_stderr(|line| line.contains("events:"));
    assert!(line.contains(&nats.url()) && line.contains("nats"), "{line}");
    let mut outside = NatsClient::connect(nats.addr());
    outside.subscribe("a");
    assert_eq!(http::get(stitch.proxy(), "/a", &[]).status, 200);
    assert_eq!(outside.next().0, "a");
}

#[test]
fn auto_stays_inside_when_nothing_answers_and_says_why() {
    let stitch = Stitch::up(&with_infra(free_port()));
    assert_eq!(stitch.ready().json()["events"], "in-process");
    let line = stitch.wait_for_stderr(|line| line.contains("events:"));
    assert!(line.contains("in-process") && line.contains("does not answer"), "{line}");

    let stitch = Stitch::up("services: { shop: { endpoints: [{ path: /a }] } }");
    let line = stitch.wait_for_stderr(|line| line.contains("events:"));
    assert!(line.contains("no nats service is declared"), "{line}");
}

#[test]
fn subscriptions_follow_the_file() {
    for over_nats in [false, true] {
        let nats = over_nats.then(NatsServer::start);
        let events = nats.as_ref().map_or_else(|| "in-process".to_owned(), NatsServer::url);
        let yaml = |subject: &str| {
            format!(
                "events: {events}\nservices:\n  one: {{ endpoints: \
                 [{{ path: /a, nats_publish: {{ subject: a }} }}, \
                 {{ path: /b, nats_publish: {{ subject: b }} }}] }}\n  two:\n    \
                 endpoints: [{{ path: /got, method: POST }}]\n    \
                 nats_subscribe: {{ subject: {subject}, action: POST /got }}\n"
            )
        };
        let publish = |stitch: &Stitch, path: &str| {
            assert_eq!(http::get(stitch.proxy(), path, &[("host", "one")]).status, 200);
        };
        let stitch = Stitch::up(&yaml("a"));
        publish(&stitch, "/a");
        assert!(wait_until(PATIENCE, || hits(&stitch, "two") == 1));
        stitch.rewrite(&yaml("b"));
        stitch.wait_for_stdout(|line| line["event"] == "reloaded");
        publish(&stitch, "/b");
        assert!(wait_until(PATIENCE, || hits(&stitch, "two") == 2), "{}", stitch.stderr());
        // `a` has no subscriber any more; `b`, published after it, comes alone.
        publish(&stitch, "/a");
        publish(&stitch, "/b");
        assert!(wait_until(PATIENCE, || hits(&stitch, "two") >= 3));
        assert_eq!(hits(&stitch, "two"), 3);
    }
}

#[test]
fn events_that_cause_each_other_come_to_an_end() {
    let stitch = Stitch::up(
        "services:\n  loop:\n    endpoints: [{ path: /again, method: POST, \
         nats_publish: { subject: again } }]\n    \
         nats_subscribe: { subject: again, action: POST /again }\n",
    );
    assert_eq!(http::send(stitch.proxy(), "POST", "/again", &[], b"").status, 200);
    let line = stitch.wait_for_stderr(|line| line.contains("again") && line.contains("WARN"));
    let before = hits(&stitch, "loop");
    assert!(before > 2 && before < 100, "{before} hits, then {line}");
    assert!(!wait_until(Duration::from_millis(200), || hits(&stitch, "loop") > before));
}

#[test]
fn an_action_that_fails_is_told_and_the_next_event_still_arrives() {
    let stitch = Stitch::up(
        "services:\n  one: { endpoints: [{ path: /a, nats_publish: { subject: a } }] }\n  two:\n    \
         endpoints: [{ path: /got, method: POST }]\n    nats_subscribe:\n      \
         - { subject: a, action: POST /nowhere }\n      - { subject: a, action: POST /got }\n",
    );
    for round in 1..=2 {
        assert_eq!(http::get(stitch.proxy(), "/a", &[]).status, 200);
        assert!(wait_until(SOON, || hits(&stitch, "two") == round), "{}", stitch.stderr());
    }
    let line = stitch.wait_for_stderr(|line| line.contains("/nowhere"));
    assert!(line.contains("404") && line.contains("two"), "{line}");
}
