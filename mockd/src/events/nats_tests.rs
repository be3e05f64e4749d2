//! Tests against a real NATS server, its absence and its return included.

use super::nats_server::NatsServer;
use super::{Bus, BusError, Events, Message, Nats, Subscription, choose, request};
use crate::daemon::Daemon;
use crate::testing::{config, engine};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

async fn next(messages: &mut Subscription) -> Message {
    tokio::time::timeout(SOON, messages.next()).await.expect("a message").expect("an open stream")
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

#[tokio::test]
async fn messages_travel_with_headers_and_replies() {
    let server = NatsServer::start(None);
    let bus = Nats::connect(&server.url(), SOON).await.unwrap();
    assert_eq!(bus.name(), server.url());
    let mut messages = bus.subscribe("a.*").await.unwrap();
    bus.flush().await.unwrap();
    let sent = Message {
        headers: vec![
            ("Traceparent".to_owned(), "00".to_owned()),
            ("x-two".to_owned(), "1".to_owned()),
            ("x-two".to_owned(), "2".to_owned()),
        ],
        reply: Some("r".to_owned()),
        ..Message::new("a.b", "payload")
    };
    bus.publish(sent.clone()).unwrap();
    let mut got = next(&mut messages).await;
    got.headers.sort();
    assert_eq!(got, sent);
    let answering = Arc::new(bus);
    let mut questions = answering.subscribe("q").await.unwrap();
    answering.flush().await.unwrap();
    let other = answering.clone();
    tokio::spawn(async move {
        let question = questions.next().await.unwrap();
        other.publish(Message::new(question.reply.unwrap(), "42")).unwrap();
    });
    let answer = request(&*answering, Message::new("q", ""), SOON).await.unwrap();
    assert_eq!((answer.payload.as_ref(), answering.dropped()), (b"42".as_ref(), 0));
}

#[tokio::test]
async fn what_cannot_be_sent_is_counted() {
    let server = NatsServer::start(None);
    let bus = Nats::connect(&server.url(), SOON).await.unwrap();
    bus.publish(Message::new("a", vec![b'x'; (1 << 20) + 1])).unwrap();
    until("the oversized message is counted", || bus.dropped() == 1).await;
    assert!(matches!(bus.subscribe("a b").await, Err(BusError::Subscribe { .. })));
}

#[tokio::test]
async fn slow_readers_lose_messages_and_these_are_counted() {
    let server = NatsServer::start(None);
    let bus = Nats::connect(&server.url(), SOON).await.unwrap();
    let mut slow = bus.subscribe("s").await.unwrap();
    bus.flush().await.unwrap();
    for n in 0..1500 {
        bus.publish(Message::new("s", n.to_string())).unwrap();
        if n % 100 == 0 {
            bus.flush().await.unwrap();
        }
    }
    until("losses are counted", || bus.dropped() > 0).await;
    assert_eq!(next(&mut slow).await.payload, "0");
}

#[tokio::test]
async fn a_server_that_goes_and_returns_loses_no_subscription_and_no_waiting_message() {
    let server = NatsServer::start(None);
    let port = server.port;
    let bus = Nats::connect(&server.url(), SOON).await.unwrap();
    let mut messages = bus.subscribe("a").await.unwrap();
    bus.publish(Message::new("a", "before")).unwrap();
    assert_eq!(next(&mut messages).await.payload, "before");
    drop(server);
    until("the loss is noticed", || !bus.is_connected()).await;
    for n in 0..1030 {
        assert_eq!(bus.publish(Message::new("a", n.to_string())).is_ok(), n < 1024, "{n}");
    }
    assert_eq!(bus.dropped(), 6);
    assert!(matches!(bus.flush().await, Err(BusError::Flush)));
    let server = NatsServer::start(Some(port));
    for n in 0..1024 {
        assert_eq!(next(&mut messages).await.payload, n.to_string());
    }
    bus.publish(Message::new("a", "after")).unwrap();
    assert_eq!(next(&mut messages).await.payload, "after");
    assert_eq!(bus.dropped(), 6);
    drop(server);
}

#[tokio::test]
async fn a_named_server_may_come_later() {
    let server = NatsServer::start(None);
    let port = server.port;
    drop(server);
    let config = config(&format!(
        "events: 'nats://127.0.0.1:{port}'\nservices: {{ a: {{ endpoints: [ {{ path: / }} ] }} }}"
    ));
    let (bus, line) = choose(&config, "127.0.0.1").await.unwrap();
    let said = format!("events: nats://127.0.0.1:{port}, as the file says (not there yet)");
    assert_eq!(line, said);
    let mut messages = bus.subscribe("a").await.unwrap();
    bus.publish(Message::new("a", "early")).unwrap();
    let _server = NatsServer::start(Some(port));
    assert_eq!(next(&mut messages).await.payload, "early");
}

#[tokio::test]
async fn auto_takes_the_declared_server() {
    let server = NatsServer::start(None);
    let config = config(&format!(
        "services: {{ nats: {{ type: infra, image: 'nats:2.10-alpine', ports: ['{}:4222', '8222:8222'] }} }}",
        server.port
    ));
    let (bus, line) = choose(&config, "127.0.0.1").await.unwrap();
    assert_eq!(bus.name(), server.url());
    assert_eq!(line, format!("events: {}, the declared service nats", server.url()));
}

#[tokio::test]
async fn subscriptions_of_an_engine_outlive_the_server() {
    let server = NatsServer::start(None);
    let port = server.port;
    let engine = engine(
        "services: { api: { nats_subscribe: [ { subject: q, reply: { n: '{{ message.count }}' } } ] } }",
    );
    let bus = Arc::new(Nats::connect(&server.url(), SOON).await.unwrap());
    let events = Events::start(bus.clone(), Daemon::new(engine.clone()));
    events.update(&engine).await;
    let answer = request(&*bus, Message::new("q", ""), SOON).await.unwrap();
    assert_eq!(answer.payload, r#"{"n":1}"#);
    drop(server);
    until("the loss is noticed", || !bus.is_connected()).await;
    let _server = NatsServer::start(Some(port));
    until("the return is noticed", || bus.is_connected()).await;
    events.update(&engine).await;
    let answer = request(&*bus, Message::new("q", ""), SOON).await.unwrap();
    assert_eq!(answer.payload, r#"{"n":2}"#);
}

#[tokio::test]
async fn nobody_there_is_said_without_the_password() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("nats://user:secret@127.0.0.1:{closed}");
    let error = Nats::connect(&url, SOON).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot reach nats://127.0.0.1:{closed}: ")), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = silent.local_addr().unwrap().to_string();
    let error = Nats::connect(&url, Duration::from_millis(50)).await.unwrap_err().to_string();
    assert!(error.contains(&url), "{error}");
}
