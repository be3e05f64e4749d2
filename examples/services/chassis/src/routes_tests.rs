//! The routes and refusals that every service has, asked without sockets.

use axum::{
    body::Body as Bytes,
    extract::Request,
    http::{StatusCode, header::ALLOW},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tower::ServiceExt as _;

use super::*;
use crate::{Body, Id, Page};

const OPENAPI: &str = r#"{"info": {"title": "Things"}, "paths": {}}"#;

#[derive(Deserialize)]
struct Thing {
    #[expect(dead_code, reason = "only its shape matters")]
    name: String,
}

fn app() -> Router {
    Routes::new("things", OPENAPI)
        .get("/things", async |page: Page| format!("{} {}", page.limit, page.offset))
        .post("/things", async |_: Body<Thing>| StatusCode::CREATED)
        .get("/things/{id}", async |Id(id): Id| id.to_string())
        .finish(())
}

async fn ask(
    app: &Router,
    method: &str,
    path: &str,
    body: Option<String>,
) -> (Response<()>, String) {
    let mut request = Request::builder().method(method).uri(path);
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(body.map_or_else(Bytes::empty, Bytes::from)).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, ()), String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn what_every_service_has_is_there() {
    let app = app();
    for (path, part) in [
        ("/health", r#"{"status":"ok","service":"things"}"#),
        ("/health/live", r#"{"status":"ok"}"#),
        ("/openapi.json", OPENAPI),
        ("/docs", "<h1>Things</h1>"),
        ("/metrics", r#"http_requests_total{method="GET",route="/docs",status="200"} 1"#),
    ] {
        let (response, text) = ask(&app, "GET", path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(text.contains(part), "{path} answers {text}");
    }
}

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_a_problem() {
    let app = app();
    let (response, text) = ask(&app, "GET", "/nowhere", None).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(
        text,
        r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no route `/nowhere`; see /docs for the ones there are"}"#
    );
    let (response, text) = ask(&app, "PUT", "/things", None).await;
    assert_eq!(response.headers()[ALLOW], "GET,HEAD,POST");
    assert!(text.contains("`/things` does not take PUT"), "{text}");
}

#[tokio::test]
async fn a_body_is_refused_for_what_is_wrong_with_it() {
    let app = app();
    for (body, status, part) in [
        (r#"{"name": "#.to_owned(), 400, "the body is not JSON"),
        (r#"{"name": 7}"#.to_owned(), 422, r#""field":"name""#),
        ("{}".to_owned(), 422, r#""field":"name""#),
        ("[]".to_owned(), 422, "invalid length 0"),
        ("x".repeat(BODY_LIMIT + 1), 413, "length limit exceeded"),
    ] {
        let (response, text) = ask(&app, "POST", "/things", Some(body)).await;
        assert_eq!(response.status(), status, "{text}");
        assert!(text.contains(part), "{text}");
    }
    let (response, text) = ask(&app, "POST", "/things", None).await;
    assert_eq!(response.status(), 415, "{text}");
}

#[tokio::test]
async fn ids_and_pages_have_bounds() {
    let app = app();
    for (path, status, part) in [
        ("/things/7", 200, "7"),
        ("/things/seven", 404, "`seven`"),
        ("/things/-1", 404, "`-1`"),
        ("/things", 200, "20 0"),
        ("/things?limit=100&offset=5", 200, "100 5"),
        ("/things?limit=0", 422, r#""field":"limit""#),
        ("/things?limit=101", 422, "give 1 to 100"),
        ("/things?offset=-1", 422, r#""field":"offset""#),
        ("/things?limit=5&limit=6", 400, "duplicate field"),
    ] {
        let (response, text) = ask(&app, "GET", path, None).await;
        assert_eq!(response.status(), status, "{path}: {text}");
        assert!(text.contains(part), "{path}: {text}");
    }
}
