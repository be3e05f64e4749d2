//! The orders API against a real `users` service on a port of its own.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Body as Bytes,
    extract::Request,
    http::{HeaderMap, header::CONTENT_TYPE},
    routing::any,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tower::ServiceExt as _;

use super::{app, routes};
use crate::UsersClient;

/// Serves `router` until the test ends, and says where.
async fn start(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

/// An address where nobody listens, nor will while the socket lives: it is bound and no more.
fn nowhere() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}

/// Orders in front of a users service that knows user 1.
async fn shop() -> Router {
    let users = users::app();
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    assert_eq!(ask(&users, "POST", "/api/v1/users", ada).await.0, 201);
    app(UsersClient::direct(&start(users).await).unwrap())
}

async fn ask(app: &Router, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, _, body) = ask_with(app, method, path, &[], body).await;
    (status, body)
}

async fn ask_with(
    app: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> (u16, HeaderMap, Value) {
    let mut request =
        Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Bytes::empty() } else { Bytes::from(body.to_string()) };
    let response = app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn order(user: u64) -> Value {
    json!({"user_id": user, "items": [{"sku": "tea", "quantity": 2, "price_cents": 450}]})
}

#[test]
fn the_document_and_the_routes_agree() {
    let drift = chassis::drift(include_str!("../openapi.json"), routes().table());
    assert_eq!(drift, Vec::<String>::new());
}

#[tokio::test]
async fn an_order_lives_from_post_to_delete() {
    let shop = shop().await;
    let (status, headers, order) = ask_with(&shop, "POST", "/api/v1/orders", &[], order(1)).await;
    assert_eq!(
        (status, &order["total_cents"], &order["status"]),
        (201, &json!(900), &json!("pending"))
    );
    assert_eq!(headers["location"], "/api/v1/orders/1");
    assert_eq!(ask(&shop, "GET", "/api/v1/orders/1", Value::Null).await, (200, order));

    let (status, order) =
        ask(&shop, "PUT", "/api/v1/orders/1", json!({"status": "confirmed"})).await;
    assert_eq!((status, &order["status"]), (200, &json!("confirmed")));
    let (status, problem) =
        ask(&shop, "PUT", "/api/v1/orders/1", json!({"status": "pending"})).await;
    assert_eq!((status, &problem["field"]), (422, &json!("status")));

    assert_eq!(ask(&shop, "DELETE", "/api/v1/orders/1", Value::Null).await.0, 204);
    for (method, body) in [("GET", Value::Null), ("PUT", json!({})), ("DELETE", Value::Null)] {
        let (status, problem) = ask(&shop, method, "/api/v1/orders/1", body).await;
        assert_eq!(
            (status, &problem["detail"]),
            (404, &json!("no order has the id 1")),
            "{method}"
        );
    }
}

#[tokio::test]
async fn orders_are_listed_for_everybody_or_for_one_user() {
    let shop = shop().await;
    for _ in 0..3 {
        assert_eq!(ask(&shop, "POST", "/api/v1/orders", order(1)).await.0, 201);
    }
    for (path, total, shown) in [
        ("/api/v1/orders", 3, 3),
        ("/api/v1/orders?user_id=1&limit=2", 3, 2),
        ("/api/v1/orders?user_id=2", 0, 0),
        ("/api/v1/orders/user/1?offset=2", 3, 1),
        ("/api/v1/orders/user/2", 0, 0),
    ] {
        let (status, page) = ask(&shop, "GET", path, Value::Null).await;
        assert_eq!((status, &page["total"]), (200, &json!(total)), "{path}");
        assert_eq!(page["items"].as_array().map(Vec::len), Some(shown), "{path}");
    }
    let (status, problem) = ask(&shop, "GET", "/api/v1/orders?user_id=ada", Value::Null).await;
    assert_eq!((status, &problem["field"]), (422, &json!("user_id")));
}

#[tokio::test]
async fn an_order_of_a_user_nobody_knows_is_refused() {
    let (status, problem) = ask(&shop().await, "POST", "/api/v1/orders", order(2)).await;
    assert_eq!((status, &problem["detail"]), (422, &json!("no user has the id 2")));
    assert_eq!(problem["field"], "user_id");
}

#[tokio::test]
async fn a_bad_order_is_refused_before_users_is_asked() {
    let (url, _socket) = nowhere();
    let shop = app(UsersClient::direct(&url).unwrap());
    let (status, problem) =
        ask(&shop, "POST", "/api/v1/orders", json!({"user_id": 1, "items": []})).await;
    assert_eq!((status, &problem["field"]), (422, &json!("items")));
}

#[tokio::test]
async fn without_users_no_order_is_taken_and_the_service_is_not_ready() {
    let (url, _socket) = nowhere();
    let shop = app(UsersClient::direct(&url).unwrap());
    let (status, problem) = ask(&shop, "POST", "/api/v1/orders", order(1)).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(status, 503);
    assert!(detail.contains(&format!("{url}/api/v1/users/1")), "{detail}");
    assert!(detail.to_lowercase().contains("connection refused"), "{detail}");
    assert_eq!(ask(&shop, "GET", "/health/ready", Value::Null).await.0, 503);
    assert_eq!(ask(&shop, "GET", "/health/live", Value::Null).await.0, 200);
}

#[tokio::test]
async fn a_users_service_that_fails_is_not_taken_for_a_missing_user() {
    let broken =
        Router::new().fallback(any(|| async { (axum::http::StatusCode::BAD_GATEWAY, "") }));
    let shop = app(UsersClient::direct(&start(broken).await).unwrap());
    let (status, problem) = ask(&shop, "POST", "/api/v1/orders", order(1)).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 503 && detail.ends_with("answered 502 Bad Gateway"), "{status} {detail}");
    assert_eq!(ask(&shop, "GET", "/health/ready", Value::Null).await.0, 503);
}

#[tokio::test]
async fn the_service_is_ready_when_users_is_there_even_as_a_stand_in() {
    assert_eq!(ask(&shop().await, "GET", "/health/ready", Value::Null).await.0, 200);
    let bare = app(UsersClient::direct(&start(Router::new()).await).unwrap());
    assert_eq!(ask(&bare, "GET", "/health/ready", Value::Null).await.0, 200);
}

#[tokio::test]
async fn trace_headers_reach_users_and_others_do_not() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let record = Arc::clone(&seen);
    let recorder = Router::new().fallback(any(move |headers: HeaderMap| async move {
        *record.lock().unwrap() = headers;
        Json(json!({"id": 1}))
    }));
    let shop = app(UsersClient::direct(&start(recorder).await).unwrap());
    let sent = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "congo=t61rcWkgMzE"),
        ("baggage", "tenant=blue"),
        ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
        ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
        ("x-b3-sampled", "1"),
        ("uber-trace-id", "5af7183fb1d4cf5f:6b221d5bc9e6496c:0:1"),
        ("x-request-id", "r-1"),
    ];
    let private = [("authorization", "Bearer of-the-caller"), ("cookie", "session=1")];
    let headers = [&sent[..], &private[..]].concat();
    assert_eq!(ask_with(&shop, "POST", "/api/v1/orders", &headers, order(1)).await.0, 201);

    let seen = seen.lock().unwrap();
    for (name, value) in sent {
        assert_eq!(seen.get(name).and_then(|seen| seen.to_str().ok()), Some(value), "{name}");
    }
    for (name, _) in private {
        assert!(!seen.contains_key(name), "{name}");
    }
}
