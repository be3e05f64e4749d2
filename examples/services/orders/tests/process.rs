//! The binary as people run it: settings from the environment, logs on stdout, a signal to stop.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests are tests, which clippy cannot see here"
)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, http::StatusCode, routing::any};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

/// A running service; dropped, it is killed.
struct Service {
    child: Child,
    logs: BufReader<ChildStdout>,
    address: String,
}

impl Service {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut child = command(environment).stdout(Stdio::piped()).spawn().unwrap();
        let mut logs = BufReader::new(child.stdout.take().unwrap());
        let first = line(&mut logs);
        assert_eq!(first["message"], "Listening", "{first}");
        let address = first["address"].as_str().unwrap().to_owned();
        Self { child, logs, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the environment of the tests must not decide.
const CLEARED: [&str; 10] = [
    "HOST",
    "USER_SERVICE_URL",
    "RUST_LOG",
    "REQUEST_METHOD",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

fn command(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    CLEARED.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.env("PORT", "0").envs(environment.iter().copied());
    command
}

fn line(logs: &mut impl BufRead) -> Value {
    let mut line = String::new();
    logs.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"))
}

/// A proxy that has every user and remembers what it was asked for.
async fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let router = Router::new().fallback(any(move |request: Request| async move {
        record.lock().unwrap().push(request.uri().to_string());
        StatusCode::OK
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    (format!("http://{address}"), asked)
}

async fn post_order(address: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let order = json!({"user_id": 7, "items": [{"sku": "tea", "quantity": 1, "price_cents": 1}]});
    let request = client
        .post(format!("http://{address}/api/v1/orders"))
        .header("content-type", "application/json")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(order.to_string());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn users_is_asked_through_the_proxy_of_the_environment() {
    let (proxy, asked) = proxy().await;
    let users = ("USER_SERVICE_URL", "http://users.invalid:8000");
    let service = Service::start(&[users, ("HTTP_PROXY", &proxy)]);
    assert_eq!(post_order(&service.address).await, 201);
    assert_eq!(*asked.lock().unwrap(), ["http://users.invalid:8000/api/v1/users/7"]);

    let excepted = ("NO_PROXY", "users.invalid");
    let service = Service::start(&[users, ("HTTP_PROXY", &proxy), excepted]);
    assert_eq!(post_order(&service.address).await, 503);
    assert_eq!(asked.lock().unwrap().len(), 1, "the second service asked directly");
}

#[tokio::test]
async fn requests_are_logged_as_json_and_a_signal_ends_the_process() {
    let (users, _) = proxy().await;
    for signal in [Signal::TERM, Signal::INT] {
        let mut service = Service::start(&[("USER_SERVICE_URL", &users)]);
        assert_eq!(post_order(&service.address).await, 201);
        let entry = line(&mut service.logs);
        assert_eq!(entry["method"], "POST", "{entry}");
        assert_eq!(entry["path"], "/api/v1/orders");
        assert_eq!(entry["status"], 201);
        assert_eq!(entry["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(entry["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{entry}");

        let port = service.address.rsplit(':').next().unwrap().to_owned();
        let health = command(&[("PORT", &port)]).arg("--health").status().unwrap();
        assert!(health.success());

        kill_process(Pid::from_child(&service.child), signal).unwrap();
        assert!(service.child.wait().unwrap().success());
        assert_eq!(line(&mut service.logs)["message"], "Stopping");
    }
}

#[test]
fn a_setting_or_argument_that_is_wrong_is_named_and_ends_with_2() {
    for (environment, arguments, part) in [
        ([("PORT", "many")], &[][..], "PORT is `many`: give a number"),
        ([("HOST", "here")], &[], "HOST is `here`: give an address"),
        ([("USER_SERVICE_URL", "users")], &[], "USER_SERVICE_URL is `users`: give the http://"),
        ([("PORT", "0")], &["--help"], "unknown argument `--help`; the only one is --health"),
    ] {
        let output = command(&environment).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{environment:?} {arguments:?}");
        let error = line(&mut &output.stdout[..])["error"].clone();
        assert!(error.as_str().unwrap().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = command(&[("PORT", &port)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = line(&mut &output.stdout[..])["error"].clone();
    assert!(error.as_str().unwrap().contains(&port), "{error}");
}

#[tokio::test]
async fn the_health_check_of_a_service_that_does_not_listen_fails() {
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = bound.local_addr().unwrap().port().to_string();
    let health = command(&[("PORT", &port)]).arg("--health").output().unwrap();
    assert_eq!(health.status.code(), Some(1));
    let error = line(&mut &health.stdout[..])["error"].clone();
    assert!(error.as_str().unwrap().contains("refused"), "{error}");
}
