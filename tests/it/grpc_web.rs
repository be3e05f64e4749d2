//! gRPC-Web through the proxy to a server of gRPC, with the libraries that browsers and others use.
//!
//! Python's sonora is always there; the libraries for Node are when npm could be had. All of them read
//! frames, trailers and base64 by themselves, so what they tell is what a page would see.

use crate::grpc::Echo;
use serde_json::{Value, json};
use std::path::Path;
use stitch_kit::http::Connection;
use stitch_kit::{Stitch, free_port, grpc_web_call};

/// `application/grpc-web+proto` in Python, `-text` and `+proto` over `XMLHttpRequest`, `+proto` and
/// `+json` over HTTP/1.1 and HTTP/2.
const CLIENTS: [&str; 5] = ["sonora", "grpc-web-text", "grpc-web", "connect", "connect-h2"];
/// Those that give a message out before the next one is there.
const AT_ONCE: [&str; 3] = ["grpc-web-text", "connect", "connect-h2"];

impl Echo {
    /// Makes the same call with each of the clients.
    fn each(&self, clients: &[&str], call: &str, argument: &str, expect: impl Fn(&str, &Value)) {
        each(clients, &self.stitch.service_url("echo"), call, argument, expect);
    }
}

fn each(clients: &[&str], url: &str, call: &str, argument: &str, expect: impl Fn(&str, &Value)) {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node");
    for client in clients {
        let told = grpc_web_call(client, &packages, url, call, argument);
        match told["skipped"].as_str() {
            Some(reason) => eprintln!("not tested with {client}: {reason}"),
            None => expect(client, &told),
        }
    }
}

/// Bytes are in base64 without padding, as the server wrote them.
fn good(client: &str, told: &Value, method: &str) {
    assert_eq!(told["code"], 0, "{client}: {told}");
    assert_eq!(told["trailing"]["x-trailer"], method, "{client}: {told}");
    assert_eq!(told["trailing"]["x-trailer-bin"], "AP8", "{client}: {told}");
}

fn failed(client: &str, told: &Value, code: u8, details: &str) {
    assert_eq!(told["code"], code, "{client}: {told}");
    let said = told["details"].as_str().unwrap();
    assert!(said.contains(details), "{client}: {told}");
}

#[test]
fn unary_with_metadata_and_trailers() {
    Echo::start().each(&CLIENTS, "unary", "\"grüße\"", |client, told| {
        good(client, told, "Unary");
        assert_eq!(told["messages"], json!(["\"grüße\""]), "{client}");
        assert_eq!(told["initial"]["x-echo"], "told", "{client}");
        let seen: Vec<(String, String)> =
            serde_json::from_str(told["initial"]["x-seen"].as_str().unwrap()).unwrap();
        let has = |name: &str, value: &str| seen.iter().any(|(key, is)| key == name && is == value);
        assert!(has("x-echo", "told") && has("x-some-bin", "0001ff"), "{client}: {seen:?}");
    });
}

#[test]
fn a_message_of_a_mebibyte() {
    Echo::start().each(&CLIENTS, "large", "", |client, told| {
        assert_eq!(told["same"], true, "{client}: {told}");
        assert!(told["length"].as_u64().unwrap() >= 1 << 20, "{client}: {told}");
    });
}

#[test]
fn server_streaming() {
    let messages: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    Echo::start().each(&CLIENTS, "server_stream", "1000", |client, told| {
        good(client, told, "ServerStream");
        assert_eq!(told["messages"], json!(messages), "{client}");
    });
}

#[test]
fn a_message_comes_before_the_next_one_and_a_stream_that_is_left_ends_at_the_server() {
    let echo = Echo::start();
    let left = std::cell::Cell::new(0);
    echo.each(&AT_ONCE, "cancel", "", |client, told| {
        assert_eq!(told["messages"], json!(["0"]), "{client}");
        left.set(left.get() + 1);
        let mut ended = 0;
        echo.server.wait_for_event("ended", |line| {
            assert_eq!((&line["method"], &line["cancelled"]), (&json!("Hold"), &json!(true)));
            ended += 1;
            ended == left.get()
        });
    });
}

#[test]
fn a_refusal_of_the_service_passes_as_it_is() {
    let echo = Echo::start();
    echo.each(&CLIENTS, "fail", "[9, \"nicht schön: 100 %\"]", |client, told| {
        failed(client, told, 9, "nicht schön: 100 %");
        // sonora keeps them to itself.
        assert!(client == "sonora" || told["trailing"]["x-trailer"] == "Fail", "{client}: {told}");
    });
}

#[test]
fn a_service_that_fails_after_a_message() {
    let echo = Echo::start();
    echo.each(&CLIENTS, "fail_late", "[9, \"nicht schön: 100 %\"]", |client, told| {
        failed(client, told, 9, "nicht schön: 100 %");
        assert_eq!(told["messages"], json!(["0"]), "{client}");
        assert_eq!(told["trailing"]["x-trailer"], "FailLate", "{client}: {told}");
    });
}

#[test]
fn a_deadline_that_passes_ends_a_stream_after_its_messages() {
    Echo::start().each(&CLIENTS, "deadline", "800m", |client, told| {
        failed(client, told, 4, "");
        assert_eq!(told["messages"], json!(["0"]), "{client}");
    });
}

#[test]
fn refusals_of_the_proxy_have_a_status_and_a_message() {
    let port = free_port();
    let stitch =
        Stitch::up(&format!("services: {{ dead: {{ url: 'h2c://127.0.0.1:{port}', port: 0 }} }}"));
    each(&CLIENTS, &stitch.service_url("dead"), "unary", "1", |client, told| {
        failed(client, told, 14, &format!("cannot connect to dead at 127.0.0.1:{port}"));
    });
    // The proxy's own port: no service has this host.
    each(&CLIENTS, &stitch.proxy_url(), "unary", "1", |client, told| {
        failed(client, told, 12, "");
    });
}

/// A message, or trailers, as they stand in a body.
fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], bytes].concat()
}

#[test]
fn what_stands_in_the_body() {
    let echo = Echo::start();
    let mut connection = Connection::open(echo.stitch.proxy());
    let headers =
        [("host", "echo"), ("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
    let answer =
        connection.request("POST", "/stitch.test.Echo/Unary", &headers, &frame(0, b"hello"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
    let message = frame(0, b"hello");
    assert_eq!(answer.body[..message.len()], message);
    let trailers = &answer.body[message.len()..];
    assert_eq!(trailers[0], 0x80);
    let text = String::from_utf8_lossy(&trailers[5..]).into_owned();
    assert!(text.contains("grpc-status: 0\r\n") || text.contains("grpc-status:0\r\n"), "{text}");
    assert!(text.contains("x-trailer"), "{text}");
    let ended = echo.server.wait_for_event("ended", |line| line["method"] == "Unary");
    assert_eq!(ended["cancelled"], false);
}
