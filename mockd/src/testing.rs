//! What the unit tests share: engines from YAML, and requests to them.

use crate::engine::Engine;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use stitch_config::{Config, Report};
use stitch_net::{Body, MockService, MockSet as _};

/// A configuration that must be right.
pub(crate) fn config(text: &str) -> Config {
    let loaded = stitch_config::load_text("stitch.yaml", text, &|_| None);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    loaded.config
}

/// An engine with seed 42 from a configuration that must be right.
pub(crate) fn engine(text: &str) -> Arc<Engine> {
    follow(text, None)
}

/// The engine after a reload.
pub(crate) fn follow(text: &str, previous: Option<&Engine>) -> Arc<Engine> {
    let mut report = Report::default();
    let engine = Engine::compile(&config(text), 42, previous, &mut report);
    assert_eq!(report.sorted(), Vec::<&stitch_config::Problem>::new());
    engine
}

/// What compiling a configuration reports, as people read it.
pub(crate) fn problems(text: &str) -> String {
    let loaded = stitch_config::load_text("stitch.yaml", text, &|_| None);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    let mut report = Report::default();
    Engine::compile(&loaded.config, 42, None, &mut report);
    report.render(&loaded.sources)
}

/// One service `api` with these endpoints.
pub(crate) fn api(endpoints: &str) -> Arc<Engine> {
    engine(&in_api(endpoints))
}

/// The file of one service `api` with these endpoints.
pub(crate) fn in_api(endpoints: &str) -> String {
    let indented: String = endpoints.lines().map(|line| format!("      {line}\n")).collect();
    format!("vars: {{ currency: EUR }}\nservices:\n  api:\n    endpoints:\n{indented}")
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// A request without body.
pub(crate) fn request(line: &str) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request::builder().method(method).uri(path).header("host", "api").body(Body::Empty).unwrap()
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, body: &str) -> Request<Body> {
    let mut request = request(&format!("POST {path}"));
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *request.body_mut() = body.to_owned().into();
    request
}

/// What a mock makes of a request, misses explained.
pub(crate) async fn offer(mock: &dyn MockService, mut request: Request<Body>) -> Seen {
    let offered = mock.offer(&mut request);
    read(offered.answer(&request).await).await
}

/// Reads an answer to its end.
pub(crate) async fn read(response: http::Response<Body>) -> Seen {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Seen { status: parts.status, headers: parts.headers, text }
}

/// What the service `api` makes of a request.
pub(crate) async fn ask(engine: &Engine, request: Request<Body>) -> Seen {
    offer(&*engine.service("api").unwrap(), request).await
}
