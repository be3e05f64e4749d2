//! Tests of events from the request that causes them to the request or reply they cause.

use super::{Bus, EventStats, Events, InProcess, Message, choose, request as ask_bus};
use crate::daemon::Daemon;
use crate::engine::Engine;
use crate::testing::{ask, config, engine, follow, offer, post, request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stitch_net::mock::BoxFuture;
use stitch_net::{Body, Flow, MockSet as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A flow that shows what was called and answers with a status.
struct Shown {
    calls: UnboundedSender<(String, http::request::Parts, Bytes)>,
    status: u16,
}

type Calls = UnboundedReceiver<(String, http::request::Parts, Bytes)>;

impl Shown {
    fn new(status: u16) -> (Arc<Self>, Calls) {
        let (calls, seen) = unbounded_channel();
        (Arc::new(Self { calls, status }), seen)
    }
}

impl Flow for Shown {
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>> {
        let (calls, status, service) = (self.calls.clone(), self.status, service.to_owned());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            calls.send((service, parts, body)).unwrap();
            Response::builder().status(status).body(Body::Empty).unwrap()
        })
    }
}

/// Waits until the counts say that what was started is over.
async fn settled(events: &Events, done: impl Fn(&EventStats) -> bool) -> EventStats {
    let wait = async {
        loop {
            let stats = events.stats();
            if done(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(10), wait).await {
        Ok(stats) => stats,
        Err(_) => panic!("never settled: {:?}", events.stats()),
    }
}

async fn started(engine: &Engine, flow: Arc<dyn Flow>) -> (Arc<Events>, InProcess) {
    let bus = InProcess::default();
    let events = Events::start(Arc::new(bus.clone()), flow);
    events.update(engine).await;
    (events, bus)
}

const SHOP: &str = r#"
services:
  nats: { type: infra, image: "nats:2.10-alpine", ports: ["4222:4222"] }
  payments:
    endpoints:
      - path: /charge
        method: POST
        response: { status: processed, transaction_id: tx123 }
        nats_publish:
          - subject: payments.completed
            data: { transaction_id: "{{transaction_id}}" }
  notifier:
    endpoints:
      - { path: /notify, method: POST, response: { status: notification sent } }
    nats_subscribe:
      - { subject: payments.completed, action: POST /notify }
"#;

#[tokio::test]
async fn a_request_leads_to_an_event_and_the_event_to_a_request() {
    let engine = engine(SHOP);
    let (flow, mut calls) = Shown::new(200);
    let (events, _) = started(&engine, flow).await;
    let mut charge = post("/charge", "{}");
    for (name, value) in [("traceparent", "00-1-2-01"), ("baggage", "a=b"), ("cookie", "c")] {
        charge.headers_mut().insert(name, value.parse().unwrap());
    }
    let seen = offer(&*engine.service("payments").unwrap(), charge).await;
    assert_eq!(seen.status, 200);
    let (service, parts, body) = calls.recv().await.unwrap();
    assert_eq!(
        (service.as_str(), parts.method.as_str(), parts.uri.path()),
        ("notifier", "POST", "/notify")
    );
    assert_eq!(body, r#"{"transaction_id":"tx123"}"#);
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("x-stitch-event"), Some("payments.completed"));
    assert_eq!((header("traceparent"), header("baggage")), (Some("00-1-2-01"), Some("a=b")));
    assert_eq!((header("cookie"), header("host")), (None, Some("notifier")));
    let stats = settled(&events, |stats| stats.delivered == 1).await;
    assert_eq!((stats.published, stats.dropped, stats.failed), (1, 0, 0));
    assert_eq!((stats.bus.as_str(), stats.subscriptions.len()), ("in-process", 1));
}

#[tokio::test]
async fn without_a_proxy_actions_reach_the_mocks() {
    let engine = engine(SHOP);
    let daemon = Daemon::new(engine.clone());
    let (events, _) = started(&engine, daemon).await;
    offer(&*engine.service("payments").unwrap(), post("/charge", "{}")).await;
    settled(&events, |stats| stats.delivered == 1).await;
    let notified = || engine.services()[1].endpoints[0].hits;
    settled(&events, |_| notified() == 1).await;
    assert_eq!(events.stats().failed, 0);
}

#[tokio::test]
async fn head_and_failures_publish_nothing() {
    let engine = engine(
        "services:
  api:
    endpoints:
      - { path: /a, response: x, nats_publish: [ { subject: s, data: { a: 1 } } ] }
      - { path: /b, failure_rate: 100%, response: x, nats_publish: [ { subject: s, data: { b: 1 } } ] }
      - { path: /c, response: x, nats_publish: [ { subject: s, data: '{{ request.query.c }}' } ] }",
    );
    let (flow, _calls) = Shown::new(200);
    let (_events, bus) = started(&engine, flow).await;
    let mut published = bus.subscribe("s").await.unwrap();
    assert_eq!(ask(&engine, request("HEAD /a")).await.status, 200);
    assert_eq!(ask(&engine, request("GET /b")).await.status, 500);
    assert_eq!(ask(&engine, request("GET /c")).await.header("x-stitch-reason"), "template_error");
    assert_eq!(ask(&engine, request("GET /c?c=1")).await.status, 200);
    // The first to arrive is the last that was asked for, so the others sent nothing.
    let message = published.next().await.unwrap();
    assert_eq!(message.payload, "1");
    assert_eq!(message.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn events_see_the_response() {
    let engine = engine(
        "services:
  api:
    endpoints:
      - path: /o/{id}
        method: POST
        response: { status: 201, body: { id: '{{ uuid }}' }, headers: { x-a: b } }
        nats_publish:
          - subject: 'o.{{ request.body.region }}.done'
            data: { id: '{{ response.body.id }}', status: '{{ response.status }}', a: '{{ response.headers.x_a }}', path: '{{ request.path.id }}' }
          - { subject: 'bad subject {{ request.body.bad }}', data: {} }",
    );
    // Two publishes: the second one cannot be made, so neither is sent.
    let (flow, _calls) = Shown::new(200);
    let (_events, bus) = started(&engine, flow).await;
    let mut all = bus.subscribe(">").await.unwrap();
    let seen = ask(&engine, post("/o/7", r#"{"region": "eu", "bad": "x"}"#)).await;
    assert!(seen.text.contains("is not a subject"), "{}", seen.text);
    let engine = follow(
        "services:
  api:
    endpoints:
      - path: /o/{id}
        method: POST
        response: { status: 201, body: { id: '{{ uuid }}' }, headers: { x-a: b } }
        nats_publish:
          - subject: 'o.{{ request.body.region }}.done'
            data: { id: '{{ response.body.id }}', status: '{{ response.status }}', a: '{{ response.headers.x_a }}', path: '{{ request.path.id }}' }",
        Some(&engine),
    );
    let seen = ask(&engine, post("/o/7", r#"{"region": "eu"}"#)).await;
    let message = all.next().await.unwrap();
    assert_eq!(message.subject, "o.eu.done");
    let data: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    let id = seen.json()["id"].clone();
    assert_eq!(data, serde_json::json!({"id": id, "status": 201, "a": "b", "path": "7"}));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_event_waits() {
    let engine = engine(
        "services: { api: { endpoints: [ { path: /, response: x, nats_publish: [ { subject: s, data: {}, delay: 1s } ] } ] } }",
    );
    let (flow, _calls) = Shown::new(200);
    let (_events, bus) = started(&engine, flow).await;
    let mut published = bus.subscribe("s").await.unwrap();
    let start = tokio::time::Instant::now();
    ask(&engine, request("GET /")).await;
    published.next().await.unwrap();
    let took = start.elapsed();
    assert!((1000..1010).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_published_leaves_before_the_end() {
    let engine = engine("services: { a: { endpoints: [ { path: /, response: a } ] } }");
    let (events, _bus) = started(&engine, Daemon::new(engine.clone())).await;
    let publish = |delay| events.publisher().publish(Message::new("a", ""), Some(delay));
    publish(Duration::from_millis(300));
    assert_eq!(events.settle(Duration::from_secs(1)).await, 0);
    assert_eq!(events.stats().published, 1);
    publish(Duration::from_secs(60));
    assert_eq!(events.settle(Duration::from_secs(1)).await, 1);
    assert_eq!(events.stats().published, 1);
}

#[tokio::test]
async fn a_reply_answers_a_request() {
    let engine = engine(
        r#"
vars: { currency: EUR }
services:
  api:
    nats_subscribe:
      - subject: quotes.*
        reply: { sku: "{{ message.data.sku }}", bare: "{{ sku }}", n: "{{ message.count }}", s: "{{ message.subject }}", h: "{{ message.headers.x_a }}", c: "{{ vars.currency }}" }
      - { subject: broken, reply: { a: "{{ message.data.nope }}" } }
"#,
    );
    let (flow, _calls) = Shown::new(200);
    let (events, bus) = started(&engine, flow).await;
    let question = Message {
        headers: vec![
            ("X-A".to_owned(), "b".to_owned()),
            ("traceparent".to_owned(), "00".to_owned()),
        ],
        ..Message::new("quotes.get", r#"{"sku": "A1"}"#)
    };
    let answer = ask_bus(&bus, question, Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        answer.payload,
        r#"{"sku":"A1","bare":"A1","n":1,"s":"quotes.get","h":"b","c":"EUR"}"#
    );
    assert_eq!(answer.header("traceparent"), Some("00"));
    // Nobody asked for an answer to this one; it counts all the same.
    bus.publish(Message::new("quotes.get", "not json")).unwrap();
    bus.publish(Message { reply: Some("r".to_owned()), ..Message::new("broken", "{}") }).unwrap();
    let stats = settled(&events, |stats| stats.delivered == 3 && stats.failed == 1).await;
    assert_eq!(stats.subscriptions[0].subject, "broken");
}

#[tokio::test]
async fn failed_actions_are_counted() {
    let engine = engine(
        r#"
services:
  api:
    nats_subscribe:
      - { subject: a, action: "POST /x/{{ message.data.id }}" }
      - { subject: b, action: "POST /{{ message.data.nope }}" }
      - { subject: c, action: "POST /{{ message.data }}" }
"#,
    );
    let (flow, mut calls) = Shown::new(503);
    let (events, bus) = started(&engine, flow).await;
    let with_type = vec![("content-type".to_owned(), "text/x".to_owned())];
    bus.publish(Message { headers: with_type, ..Message::new("a", r#"{"id": "a b?q=1"}"#) })
        .unwrap();
    let (_, parts, _) = calls.recv().await.unwrap();
    assert_eq!(parts.uri.to_string(), "/x/a%20b?q=1");
    assert_eq!(parts.headers["content-type"], "text/x");
    bus.publish(Message::new("b", "{}")).unwrap();
    bus.publish(Message::new("c", "x".repeat(70_000))).unwrap();
    settled(&events, |stats| stats.failed == 3).await;
}

#[tokio::test]
async fn loops_end() {
    let engine = engine(
        r#"
services:
  api:
    endpoints:
      - { path: /again, method: POST, response: x, nats_publish: [ { subject: loop, data: {} } ] }
    nats_subscribe:
      - { subject: loop, action: POST /again }
"#,
    );
    let daemon = Daemon::new(engine.clone());
    let (events, bus) = started(&engine, daemon).await;
    bus.publish(Message::new("loop", "{}")).unwrap();
    let stats = settled(&events, |stats| stats.dropped == 1).await;
    assert_eq!(stats.published, 16);
    let settled = settled(&events, |stats| stats.delivered == 17).await;
    assert_eq!(settled.dropped, 1);
}

#[tokio::test]
async fn a_reload_keeps_subscriptions_that_stay() {
    let with = |reply: &str, more: &str| {
        format!(
            "vars: {{ v: {reply} }}\nservices:\n  api:\n    nats_subscribe:\n      - {{ subject: keep, reply: '{{{{ vars.v }}}} {{{{ message.count }}}}' }}\n{more}"
        )
    };
    let first = engine(&with("old", "      - { subject: gone, reply: bye }\n"));
    let (flow, _calls) = Shown::new(200);
    let (events, bus) = started(&first, flow).await;
    let ask = async |subject: &str| {
        let answer = ask_bus(&bus, Message::new(subject, ""), Duration::from_secs(5)).await;
        String::from_utf8(answer.unwrap().payload.to_vec()).unwrap()
    };
    assert_eq!(ask("keep").await, "old 1");
    assert_eq!(ask("gone").await, "bye");
    let second = follow(&with("new", "      - { subject: added, reply: hello }\n"), Some(&first));
    events.update(&second).await;
    assert_eq!(ask("keep").await, "new 2");
    assert_eq!(ask("added").await, "hello");
    let held = events.stats().subscriptions;
    assert_eq!(held.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["added", "keep"]);
}

#[tokio::test]
async fn slow_services_hold_up_nobody() {
    struct Stuck;
    impl Flow for Stuck {
        fn call(&self, _: &str, _: Request<Body>) -> BoxFuture<Response<Body>> {
            Box::pin(std::future::pending())
        }
    }
    let engine =
        engine("services: { api: { nats_subscribe: [ { subject: s, action: POST /x } ] } }");
    let (events, bus) = started(&engine, Arc::new(Stuck)).await;
    let lost = Mutex::new(0);
    for n in 0..3000 {
        if bus.publish(Message::new("s", "{}")).is_err() {
            *lost.lock().unwrap() += 1;
        }
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let stats = settled(&events, |stats| stats.delivered == 64).await;
    assert_eq!(stats.dropped, *lost.lock().unwrap());
    // 64 run, 1024 wait.
    assert_eq!(stats.dropped, 3000 - 64 - 1024);
}

#[tokio::test]
async fn the_queue_of_a_publisher_is_bounded() {
    let engine = engine(
        "services: { api: { endpoints: [ { path: /, response: x, nats_publish: [ { subject: s, data: {}, delay: 1h } ] } ] } }",
    );
    let (flow, _calls) = Shown::new(200);
    let (events, _bus) = started(&engine, flow).await;
    for _ in 0..10_003 {
        ask(&engine, request("GET /")).await;
    }
    assert_eq!(events.stats().dropped, 3);
}

#[tokio::test]
async fn choosing_says_which_and_why() {
    let line = async |text: &str| {
        let (bus, line) = choose(&config(text), "127.0.0.1").await.unwrap();
        (bus.name().to_owned(), line)
    };
    let with =
        |rest: &str| format!("{rest}\nservices: {{ a: {{ endpoints: [ {{ path: / }} ] }} }}");
    assert_eq!(
        line(&with("events: in-process")).await,
        ("in-process".to_owned(), "events: in-process, as events: in-process says".to_owned())
    );
    assert_eq!(line(&with("")).await.1, "events: in-process, no nats service is declared");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for service in [
        format!("broker: {{ type: infra, image: 'docker.io/nats:2', ports: ['{closed}:4222'] }}"),
        format!(
            "nats: {{ type: infra, image: acme/broker, ports: ['127.0.0.1:{closed}:4222/tcp'] }}"
        ),
        format!(
            "any: {{ type: infra, image: acme/broker, ports: ['8222:8222', '{closed}:4222'] }}"
        ),
    ] {
        let (bus, line) = line(&format!("services: {{ {service} }}")).await;
        assert_eq!(bus, "in-process");
        assert!(line.contains("does not answer: cannot reach nats://127.0.0.1:"), "{line}");
        assert!(line.contains(&closed.to_string()), "{line}");
    }
}
