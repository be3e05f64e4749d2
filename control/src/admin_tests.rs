//! The admin API over a made-up process, without sockets.

use crate::{
    Admin, AdminGate, Change, ChangeProblem, ChangeRefused, Counters, EndpointView, Metrics,
    Readiness, ServiceView, SetModeRefused, View,
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use stitch_config::model::{Mode, Secret};
use stitch_net::Body;
use stitch_net::mock::BoxFuture;
use stitch_proxy::{Breakers, Reading};

/// A process with one service.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) mode: Mutex<Option<Mode>>,
    /// What was asked for.
    pub(crate) changes: Mutex<Vec<Change>>,
    /// What is answered to which patch.
    pub(crate) refusals: HashMap<String, ChangeRefused>,
}

impl View for Process {
    fn config(&self) -> Value {
        json!({ "proxy": { "admin": { "token": "***" } } })
    }

    fn services(&self) -> Vec<ServiceView> {
        let mode = self.mode.lock().unwrap().unwrap_or(Mode::Mock).as_str();
        vec![ServiceView {
            name: "users".into(),
            kind: "mixed",
            mode: Some(mode),
            mode_in_file: None,
            urls: vec!["http://127.0.0.1:8001".into()],
            upstreams: vec![],
            endpoints: vec![EndpointView {
                id: "users GET /".into(),
                methods: vec!["GET".into()],
                path: "/".into(),
                hits: 3,
                failures: 0,
            }],
            subscriptions: vec![],
            counters: Counters::Requests(Reading { requests: 3, mock: 3, ..Reading::default() }),
            policies: json!({ "mode": mode }),
            state: None,
            routes: vec![],
            overrides: Map::new(),
            command: None,
        }]
    }

    fn change(&self, change: Change) -> BoxFuture<Result<(), ChangeRefused>> {
        let answer = match &change {
            Change::Patch { patch, .. } if patch.contains("real-then-mock") => {
                *self.mode.lock().unwrap() = Some(Mode::RealThenMock);
                Ok(())
            }
            Change::Patch { patch, .. } => self.refusals.get(patch).cloned().map_or(Ok(()), Err),
            Change::Undo { key: Some(key), .. } if key != "timeout" => {
                let (key, changed) = (key.clone(), vec!["timeout".to_owned()]);
                Err(ChangeRefused::NotChanged { key, changed })
            }
            Change::Undo { .. } => Ok(()),
        };
        self.changes.lock().unwrap().push(change);
        Box::pin(std::future::ready(answer))
    }

    fn refuses_mode(&self, service: &str, mode: Mode) -> Option<SetModeRefused> {
        match (service, mode) {
            ("users", Mode::Real) => Some(SetModeRefused::Impossible("no url".into())),
            ("users", _) => None,
            _ => Some(SetModeRefused::Unknown(Some("users".into()))),
        }
    }

    fn breakers(&self) -> Arc<Breakers> {
        self.breakers.clone()
    }

    fn publish_metrics(&self) {
        self.breakers.publish();
        metrics::counter!("stitch_test_total").absolute(7);
    }
}

/// One recorder per test process.
pub(crate) fn recorder() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| Metrics::install().unwrap()).clone()
}

struct Api {
    process: Arc<Process>,
    gate: AdminGate,
    public: AdminGate,
    readiness: Arc<Readiness>,
}

fn api(token: Option<&str>) -> Api {
    api_over(Process::default(), token)
}

fn api_over(process: Process, token: Option<&str>) -> Api {
    let (process, readiness) = (Arc::new(process), Arc::new(Readiness::default()));
    let token = token.map(Secret::new);
    let admin = Admin::new(process.clone(), readiness.clone(), recorder(), token);
    let public = AdminGate(admin.clone().public_router());
    Api { process, gate: AdminGate(admin.router()), public, readiness }
}

pub(crate) async fn ask(
    gate: &AdminGate,
    method: Method,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost:9900");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    read(gate.answer(request).await).await
}

async fn read(response: http::Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn health_tells_live_from_ready() {
    let api = api(None);
    api.readiness.wait_for("users", "starting");
    assert_eq!(ask(&api.gate, Method::GET, "/health/live", "").await.0, StatusCode::OK);
    let (status, body) = ask(&api.gate, Method::GET, "/health/ready", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json_of(&body)["waiting_for"]["users"], "starting");
    api.readiness.arrived("users");
    assert_eq!(ask(&api.gate, Method::GET, "/health/ready", "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_published_when_they_are_read() {
    let (status, body) = ask(&api(None).gate, Method::GET, "/metrics", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("stitch_test_total 7"), "{body}");
    recorder().upkeep();
}

#[tokio::test]
async fn successes_are_data() {
    let api = api(None);
    let (_, body) = ask(&api.gate, Method::GET, "/api/config", "").await;
    assert_eq!(json_of(&body)["data"]["proxy"]["admin"]["token"], "***");
    let (_, body) = ask(&api.gate, Method::GET, "/api/services", "").await;
    assert_eq!(json_of(&body)["data"][0]["name"], "users");
    let (_, body) = ask(&api.gate, Method::GET, "/api/services/users", "").await;
    assert_eq!(json_of(&body)["data"]["endpoints"][0]["hits"], 3);
}

#[tokio::test]
async fn errors_are_problems() {
    let api = api(None);
    for (method, path, body, status) in [
        (Method::GET, "/api/services/nope", "", 404),
        (Method::GET, "/nope", "", 404),
        (Method::POST, "/api/config", "", 405),
        (Method::PUT, "/api/services/users/mode", "{}", 400),
        (Method::PUT, "/api/services/users/mode", "not json", 400),
        (Method::PUT, "/api/services/users/mode", "{\"mode\": \"fake\"}", 400),
        (Method::PUT, "/api/services/users/mode", "{\"mode\": \"real\"}", 409),
        (Method::PUT, "/api/services/nope/mode", "{\"mode\": \"mock\"}", 404),
    ] {
        let (got, text) = ask(&api.gate, method, path, body).await;
        assert_eq!(got.as_u16(), status, "{path} {body}: {text}");
        assert_eq!(json_of(&text)["status"], status, "{path} {body}");
    }
}

#[tokio::test]
async fn a_mode_is_set_and_shown() {
    let api = api(None);
    let body = "{\"mode\": \"real-then-mock\"}";
    let (status, text) = ask(&api.gate, Method::PUT, "/api/services/users/mode", body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(json_of(&text)["data"]["mode"], "real-then-mock");
}

#[tokio::test]
async fn the_token_guards_the_api_but_not_health() {
    let api = api(Some("s3cret"));
    let (status, text) = ask(&api.gate, Method::GET, "/api/services", "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
    assert_eq!(ask(&api.gate, Method::GET, "/health/live", "").await.0, StatusCode::OK);
    assert_eq!(ask(&api.gate, Method::GET, "/metrics", "").await.0, StatusCode::OK);
    let request = Request::builder()
        .uri("/api/services")
        .header("authorization", "Bearer s3cret")
        .body(Body::Empty)
        .unwrap();
    assert_eq!(read(api.gate.answer(request).await).await.0, StatusCode::OK);
}

#[tokio::test]
async fn web_pages_are_kept_out() {
    let request = Request::builder()
        .uri("/api/services")
        .header("host", "localhost:9900")
        .header("origin", "https://evil.example")
        .body(Body::Empty)
        .unwrap();
    let (status, text) = read(api(None).gate.answer(request).await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(json_of(&text)["reason"], "denied");
}

#[tokio::test]
async fn routes_reach_health_and_metrics_only() {
    let api = api(None);
    assert_eq!(ask(&api.public, Method::GET, "/health/live", "").await.0, StatusCode::OK);
    assert_eq!(ask(&api.public, Method::GET, "/api/config", "").await.0, StatusCode::NOT_FOUND);
}

async fn patch(gate: &AdminGate, target: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(Method::PATCH).uri(target).header("host", "localhost");
    let request = request.header("content-type", "application/merge-patch+json; charset=utf-8");
    read(gate.answer(request.body(Body::from(body.to_owned())).unwrap()).await).await
}

#[tokio::test]
async fn a_patch_is_handed_on_as_it_came() {
    let api = api(None);
    let text = "{\n  \"timeout\": {\"request\": \"5s\"},\n  \"mode\": null }";
    let (status, body) = patch(&api.gate, "/api/services/users?persist=true", text).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(json_of(&body)["data"]["name"], "users");
    let persist = true;
    let keys = vec!["timeout".to_owned(), "mode".to_owned()];
    let (service, patch) = ("users".to_owned(), text.to_owned());
    let change = Change::Patch { service, patch, keys, persist };
    assert_eq!(*api.process.changes.lock().unwrap(), [change]);
}

#[tokio::test]
async fn changes_are_taken_back_by_key_or_all_at_once() {
    let api = api(None);
    for (path, status) in [
        ("/api/services/users/overrides", 200),
        ("/api/services/users/overrides/timeout", 200),
        ("/api/services/users/overrides/retry", 404),
    ] {
        let (got, text) = ask(&api.gate, Method::DELETE, path, "").await;
        assert_eq!(got.as_u16(), status, "{text}");
        if status == 404 {
            assert_eq!(json_of(&text)["hint"], "changed are: timeout");
        }
    }
    let undone =
        |key: Option<&str>| Change::Undo { service: "users".into(), key: key.map(str::to_owned) };
    let expected = [undone(None), undone(Some("timeout")), undone(Some("retry"))];
    assert_eq!(*api.process.changes.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_body_that_is_no_patch_changes_nothing() {
    let api = api(None);
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(64 << 10));
    for (target, body, status) in [
        ("/api/services/users", "", 400),
        ("/api/services/users", "{", 400),
        ("/api/services/users", "[1]", 400),
        ("/api/services/users", "{\"mode\": ${HOME}}", 400),
        ("/api/services/users?persist=maybe", "{}", 400),
        ("/api/services/users", large.as_str(), 413),
    ] {
        let (got, text) = patch(&api.gate, target, body).await;
        assert_eq!(got.as_u16(), status, "{target} {text}");
        assert_eq!(json_of(&text)["status"], status, "{text}");
    }
    let (status, text) = ask(&api.gate, Method::PATCH, "/api/services/users", "{}").await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{text}");
    assert_eq!(*api.process.changes.lock().unwrap(), []);
}

#[tokio::test]
async fn every_refusal_of_a_change_has_its_status() {
    let problem = ChangeProblem {
        at: Some("1:9".into()),
        path: "services.users.mode".into(),
        message: "odd".into(),
        hint: None,
    };
    let refusals = [
        ("{\"a\":1}", ChangeRefused::Unknown(Some("users".into())), 404),
        ("{\"b\":1}", ChangeRefused::Invalid(vec![problem.clone()]), 422),
        ("{\"c\":1}", ChangeRefused::FilesWrong(vec![problem]), 409),
        ("{\"d\":1}", ChangeRefused::Conflict("cannot write x".into()), 409),
        ("{\"e\":1}", ChangeRefused::Stopping, 503),
    ];
    let by_patch =
        refusals.iter().map(|(patch, refused, _)| ((*patch).to_owned(), refused.clone()));
    let process = Process { refusals: by_patch.collect(), ..Process::default() };
    let api = api_over(process, None);
    for (text, _, status) in refusals {
        let (got, answer) = patch(&api.gate, "/api/services/users", text).await;
        assert_eq!(got.as_u16(), status, "{answer}");
        let answer = json_of(&answer);
        assert_eq!(answer["status"], status);
        if matches!(status, 422) {
            assert_eq!(
                answer["problems"],
                json!([{ "at": "1:9", "path": "services.users.mode", "message": "odd" }])
            );
        }
    }
}

#[tokio::test]
async fn changes_are_guarded_like_everything_else() {
    let api = api(Some("s3cret"));
    for (method, path) in [
        (Method::PATCH, "/api/services/users"),
        (Method::DELETE, "/api/services/users/overrides"),
        (Method::DELETE, "/api/services/users/overrides/mode"),
    ] {
        let (status, _) = ask(&api.gate, method, path, "{}").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(*api.process.changes.lock().unwrap(), []);
}
