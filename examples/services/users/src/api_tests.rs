//! The users API as a caller sees it, without sockets.

use axum::{body::Body as Bytes, extract::Request, http::header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

async fn ask(app: &Router, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .body(if body.is_null() { Bytes::empty() } else { Bytes::from(body.to_string()) })
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn ada() -> Value {
    json!({"name": " Ada ", "email": "Ada@Example.com"})
}

#[test]
fn the_document_and_the_routes_agree() {
    let drift = chassis::drift(include_str!("../openapi.json"), routes().table());
    assert_eq!(drift, Vec::<String>::new());
}

#[tokio::test]
async fn a_user_lives_from_post_to_delete() {
    let app = app();
    let (status, user) = ask(&app, "POST", "/api/v1/users", ada()).await;
    assert_eq!((status, &user["id"], &user["name"]), (201, &json!(1), &json!("Ada")));
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(ask(&app, "GET", "/api/v1/users/1", Value::Null).await, (200, user.clone()));

    let changed = json!({"name": "Ada King", "email": "king@example.com"});
    let (status, user) = ask(&app, "PUT", "/api/v1/users/1", changed).await;
    assert_eq!((status, &user["name"]), (200, &json!("Ada King")));

    assert_eq!(ask(&app, "DELETE", "/api/v1/users/1", Value::Null).await.0, 204);
    for (method, body) in [("GET", Value::Null), ("PUT", ada()), ("DELETE", Value::Null)] {
        let (status, problem) = ask(&app, method, "/api/v1/users/1", body).await;
        assert_eq!((status, &problem["detail"]), (404, &json!("no user has the id 1")), "{method}");
    }
}

#[tokio::test]
async fn the_answer_to_a_post_says_where_the_user_is() {
    let request = Request::post("/api/v1/users").header(CONTENT_TYPE, "application/json");
    let request = request.body(Bytes::from(ada().to_string())).unwrap();
    let response = app().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[LOCATION], "/api/v1/users/1");
}

#[tokio::test]
async fn lists_come_in_pages_that_say_their_total() {
    let app = app();
    for number in 1..=5 {
        let user = json!({"name": "n", "email": format!("n{number}@example.com")});
        assert_eq!(ask(&app, "POST", "/api/v1/users", user).await.0, 201);
    }
    let (status, page) = ask(&app, "GET", "/api/v1/users?limit=2&offset=3", Value::Null).await;
    let ids: Vec<&Value> =
        page["items"].as_array().unwrap().iter().map(|user| &user["id"]).collect();
    assert_eq!((status, ids), (200, vec![&json!(4), &json!(5)]));
    assert_eq!(
        (&page["total"], &page["limit"], &page["offset"]),
        (&json!(5), &json!(2), &json!(3))
    );
    let (_, page) = ask(&app, "GET", "/api/v1/users?offset=99", Value::Null).await;
    assert_eq!((&page["items"], &page["total"]), (&json!([]), &json!(5)));
}

#[tokio::test]
async fn bad_users_are_refused_by_field() {
    let app = app();
    assert_eq!(ask(&app, "POST", "/api/v1/users", ada()).await.0, 201);
    for (body, status, field) in [
        (ada(), 409, "email"),
        (json!({"name": "Ada", "email": "ada"}), 422, "email"),
        (json!({"name": "Ada"}), 422, "email"),
        (json!({"name": "  ", "email": "b@example.com"}), 422, "name"),
        (json!({"name": "n".repeat(201), "email": "b@example.com"}), 422, "name"),
        (json!({"name": 1, "email": "b@example.com"}), 422, "name"),
    ] {
        let (answered, problem) = ask(&app, "POST", "/api/v1/users", body.clone()).await;
        assert_eq!((answered, &problem["field"]), (status, &json!(field)), "{body} → {problem}");
    }
}

#[tokio::test]
async fn the_service_is_ready_at_once() {
    assert_eq!(
        ask(&app(), "GET", "/health/ready", Value::Null).await,
        (200, json!({"status": "ok"}))
    );
}
