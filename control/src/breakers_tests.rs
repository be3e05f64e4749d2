//! `/api/breakers` over real breakers, without sockets.

use crate::admin_tests::{Process, ask, json_of, recorder};
use crate::{Admin, AdminGate, Readiness};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model;
use stitch_net::Body;
use stitch_proxy::Breakers;
use stitch_proxy::breaker::{State, Verdict};
use tokio::time::Instant;

struct Api {
    gate: AdminGate,
    breakers: Arc<Breakers>,
}

/// An API over these breakers with default settings.
fn api(ids: &[&str]) -> Api {
    let breakers = Arc::new(Breakers::default());
    for id in ids {
        let service = id.split('@').next().unwrap();
        breakers.keep(id, service, &model::Breaker::default(), Instant::now());
    }
    let process = Process { breakers: breakers.clone(), ..Process::default() };
    let readiness = Arc::new(Readiness::default());
    let admin = Admin::new(Arc::new(process), readiness, recorder(), None);
    Api { gate: AdminGate(admin.router()), breakers }
}

impl Api {
    async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let (status, text) = ask(&self.gate, method, path, body).await;
        (status, json_of(&text))
    }

    fn fail(&self, id: &str, times: u32) {
        let (breaker, now) = (self.breakers.get(id).unwrap(), Instant::now());
        for _ in 0..times {
            breaker.admit(now).unwrap().settle(Verdict::Failure, Duration::ZERO, now);
        }
    }

    fn state(&self, id: &str) -> State {
        self.breakers.get(id).unwrap().state()
    }

    async fn follow(&self, last: Option<&str>) -> http::Response<Body> {
        let mut request =
            Request::builder().uri("/api/breakers/events").header("host", "localhost");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.gate.answer(request.body(Body::Empty).unwrap()).await
    }
}

/// The text of the next frame.
async fn frame(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.to_vec()).unwrap())
}

#[tokio::test]
async fn breakers_are_shown_all_and_one() {
    let api = api(&["users", "shop@orders"]);
    api.fail("users", 5);
    let (status, body) = api.ask(Method::GET, "/api/breakers", "").await;
    assert_eq!(status, StatusCode::OK);
    let ids: Vec<_> = body["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["shop@orders", "users"]);
    let (_, body) = api.ask(Method::GET, "/api/breakers/users", "").await;
    assert_eq!((&body["data"]["state"], &body["data"]["n"]), (&json!("open"), &json!(1)));
    let (_, body) = api.ask(Method::GET, "/api/breakers/shop@orders", "").await;
    assert_eq!(body["data"]["service"], "shop");
    let (_, body) = api.ask(Method::GET, "/api/breakers/shop%40orders", "").await;
    assert_eq!(body["data"]["state"], "closed");
}

#[tokio::test]
async fn a_mode_is_set_with_time_and_reason() {
    let api = api(&["users"]);
    let body = r#"{"mode": "forced_open", "ttl": "30s", "reason": "drill"}"#;
    let (status, body) = api.ask(Method::PUT, "/api/breakers/users/mode", body).await;
    assert_eq!(status, StatusCode::OK);
    let data = &body["data"];
    assert_eq!(
        (&data["mode"], &data["state"], &data["reason"]),
        (&json!("forced_open"), &json!("forced_open"), &json!("drill"))
    );
    assert!(data["reverts_at"].is_string(), "{data}");
    for (name, state) in [
        ("isolated", State::ForcedOpen),
        ("forced_closed", State::ForcedClosed),
        ("metrics_only", State::MetricsOnly),
        ("disabled", State::Disabled),
        ("auto", State::Closed),
    ] {
        let body = json!({ "mode": name }).to_string();
        let (status, body) = api.ask(Method::PUT, "/api/breakers/users/mode", &body).await;
        assert_eq!((status, api.state("users")), (StatusCode::OK, state), "{name}");
        assert_eq!(body["data"]["reverts_at"], Value::Null);
    }
}

#[tokio::test]
async fn a_reset_closes() {
    let api = api(&["users"]);
    api.fail("users", 5);
    assert_eq!(api.state("users"), State::Open);
    let (status, body) = api.ask(Method::POST, "/api/breakers/users/reset", "").await;
    assert_eq!((status, &body["data"]["state"]), (StatusCode::OK, &json!("closed")));
    assert_eq!(body["data"]["window"]["calls"], 0);
}

#[tokio::test]
async fn mistakes_are_named_and_change_nothing() {
    let api = api(&["users"]);
    for (body, named) in [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "\"mode\" is missing"),
        (r#"{"mode": 1}"#, "\"mode\" is 1"),
        (r#"{"mode": "open"}"#, "no mode \"open\""),
        (r#"{"mode": "auto", "ttl": "1s"}"#, "beside the mode \"auto\""),
        (r#"{"mode": "disabled", "ttl": 30}"#, "\"ttl\" is 30"),
        (r#"{"mode": "disabled", "ttl": "30"}"#, "the duration 30 has no unit"),
        (r#"{"mode": "disabled", "ttl": "soon"}"#, "found \"soon\""),
        (r#"{"mode": "disabled", "ttl": "0s"}"#, "over at once"),
        (r#"{"mode": "disabled", "ttl": "99999h"}"#, "longer than a year"),
        (r#"{"mode": "disabled", "reason": {}}"#, "\"reason\" is {}"),
        (r#"{"mode": "disabled", "time": "1s"}"#, "unknown key \"time\""),
        (&json!({ "mode": "disabled", "reason": "x".repeat(201) }).to_string(), "too long"),
    ] {
        let (status, problem) = api.ask(Method::PUT, "/api/breakers/users/mode", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{detail}");
        assert!(problem["hint"].is_string(), "{problem}");
        assert_eq!(api.state("users"), State::Closed);
    }
}

#[tokio::test]
async fn unknown_breakers_and_methods_are_problems() {
    for (ids, hint) in [(&["users"][..], "did you mean \"users\"?"), (&[], "write breaker: true")] {
        let api = api(ids);
        for (method, path) in [
            (Method::GET, "/api/breakers/user"),
            (Method::PUT, "/api/breakers/user/mode"),
            (Method::POST, "/api/breakers/user/reset"),
        ] {
            let (status, problem) = api.ask(method, path, "{\"mode\": \"auto\"}").await;
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert!(problem["hint"].as_str().unwrap().contains(hint), "{problem}");
        }
    }
    let (status, _) = api(&["users"]).ask(Method::DELETE, "/api/breakers/users", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn events_tell_transitions_as_they_happen() {
    let api = api(&["users"]);
    let response = api.follow(None).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    api.fail("users", 5);
    let text = frame(&mut body).await.unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["event: transition", "id: 1"]);
    let told = json_of(lines[2].strip_prefix("data: ").unwrap());
    assert_eq!(
        (&told["id"], &told["from"], &told["to"], &told["cause"]),
        (&json!("users"), &json!("closed"), &json!("open"), &json!("consecutive"))
    );
    api.breakers.transitions().close();
    assert_eq!(frame(&mut body).await, None, "the process ends");
}

#[tokio::test]
async fn events_resume_behind_the_last_one_and_say_what_is_gone() {
    let api = api(&["users"]);
    let breaker = api.breakers.get("users").unwrap();
    for _ in 0..3 {
        breaker.reset(Instant::now());
    }
    let mut body = api.follow(Some("2")).await.into_body();
    assert!(frame(&mut body).await.unwrap().contains("id: 3"));
    for _ in 0..1002 {
        breaker.reset(Instant::now());
    }
    let mut late = api.follow(Some("2")).await.into_body();
    assert_eq!(frame(&mut late).await.unwrap(), "event: missed\ndata: {\"missed\":3}\n\n");
    assert!(frame(&mut late).await.unwrap().contains("id: 6"));
    assert!(frame(&mut body).await.unwrap().contains("event: missed"), "a slow reader");
    let refused = api.follow(Some("latest")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn metrics_tell_state_calls_and_transitions() {
    let api = api(&["counted"]);
    api.fail("counted", 5);
    let breaker = api.breakers.get("counted").unwrap();
    assert!(breaker.admit(Instant::now()).is_err());
    let (_, text) = ask(&api.gate, Method::GET, "/metrics", "").await;
    let labels = r#"service="counted",breaker="counted""#;
    for line in [
        format!(r#"stitch_circuit_breaker_state{{{labels},state="open"}} 1"#),
        format!(r#"stitch_circuit_breaker_state{{{labels},state="closed"}} 0"#),
        format!(r#"stitch_circuit_breaker_calls_total{{{labels},outcome="failure"}} 5"#),
        format!(r#"stitch_circuit_breaker_calls_total{{{labels},outcome="not_permitted"}} 1"#),
        format!(
            r#"stitch_circuit_breaker_transitions_total{{{labels},from="closed",to="open",cause="consecutive"}} 1"#
        ),
    ] {
        assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
    }
    api.breakers.retain(|_| false);
    let (_, text) = ask(&api.gate, Method::GET, "/metrics", "").await;
    let gone = format!(r#"stitch_circuit_breaker_state{{{labels},state="open"}} 0"#);
    assert!(text.lines().any(|got| got == gone), "{gone} is not in\n{text}");
}
