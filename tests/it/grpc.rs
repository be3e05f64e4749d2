//! gRPC through the proxy: every kind of call, deadlines, cancellation, and refusals that a caller
//! understands.

use serde_json::{Value, json};
use std::io::{Read, Write};
use stitch_kit::h2::{self, End, request};
use stitch_kit::http;
use stitch_kit::{
    Certificates, PythonServer, Stitch, Upstream, curl, free_port, grpc_call, grpc_call_tls,
};

/// A server of gRPC behind stitch.
pub(crate) struct Echo {
    pub(crate) stitch: Stitch,
    pub(crate) server: PythonServer,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let server = PythonServer::grpc();
        let stitch = Stitch::up(&format!(
            "services: {{ echo: {{ url: '{}', port: 0 }} }}",
            server.url("h2c")
        ));
        Self { stitch, server }
    }

    fn call(&self, call: &str, argument: &str) -> Value {
        grpc_call(self.stitch.proxy(), "echo", call, argument)
    }

    /// The end of a call as its server saw it.
    fn ended(&self, method: &str) -> Value {
        self.server.wait_for_event("ended", |line| line["method"] == method)
    }
}

fn good(told: &Value, method: &str) {
    assert_eq!(told["code"], "OK", "{told}");
    assert_eq!(told["trailing"], json!({ "x-trailer": method, "x-trailer-bin": "00ff" }));
}

#[test]
fn unary() {
    let echo = Echo::start();
    let own = grpc_call(echo.stitch.service("echo"), "any.test", "unary", "");
    for told in [echo.call("unary", ""), own] {
        good(&told, "Unary");
        assert_eq!(told["messages"], json!(["hello"]));
    }
}

#[test]
fn server_streaming() {
    let told = Echo::start().call("server_stream", "1000");
    good(&told, "ServerStream");
    let messages: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(told["messages"], json!(messages));
}

#[test]
fn client_streaming() {
    let told = Echo::start().call("client_stream", "");
    good(&told, "ClientStream");
    assert_eq!(told["messages"], json!(["[0, 1, 100000]"]));
}

#[test]
fn streaming_both_ways_message_by_message() {
    let told = Echo::start().call("bidi", "");
    good(&told, "Bidi");
    let messages: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(told["messages"], json!(messages));
}

#[test]
fn metadata_passes_both_ways() {
    let told = Echo::start().call("metadata", "");
    good(&told, "Unary");
    assert_eq!(told["initial"]["x-echo"], "told");
    let seen: Vec<(String, String)> =
        serde_json::from_str(told["initial"]["x-seen"].as_str().unwrap()).unwrap();
    let of = |name: &str| -> Vec<&str> {
        seen.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(of("x-twice"), ["a", "b"]);
    assert_eq!(of("x-some-bin"), ["0001ff"]);
    assert_eq!(of("x-forwarded-for"), ["127.0.0.1"]);
    assert!(of("user-agent")[0].starts_with("grpc-python/"), "{seen:?}");
}

#[test]
fn a_refusal_of_the_service_passes_as_it_is() {
    let echo = Echo::start();
    let told = echo.call("fail", "[9, \"nicht schön: 100 %\"]");
    assert_eq!(told["code"], "FAILED_PRECONDITION");
    assert_eq!(told["details"], "nicht schön: 100 %");
    // Without messages its headers are trailers, ours among them.
    assert_eq!(told["trailing"]["x-trailer"], "Fail", "{told}");
    assert_eq!(told["trailing"]["x-trailer-bin"], "00ff", "{told}");
    let told = echo.call("method", "\"/stitch.test.Echo/Nothing\"");
    assert_eq!(
        (&told["code"], &told["details"]),
        (&json!("UNIMPLEMENTED"), &json!("Method not found!"))
    );
}

#[test]
fn a_deadline_is_passed_on() {
    let told = Echo::start().call("slow", "8");
    assert_eq!(told["code"], "OK");
    let left: f64 = told["trailing"]["x-time-left"].as_str().unwrap().parse().unwrap();
    assert!((4.0..8.0).contains(&left), "{left} of 8 s");
}

#[test]
fn a_deadline_that_passes_ends_the_call_on_both_sides() {
    let echo = Echo::start();
    assert_eq!(echo.call("deadline", "0.5")["code"], "DEADLINE_EXCEEDED");
    assert_eq!(echo.ended("Slow")["cancelled"], true);
}

#[test]
fn a_deadline_is_kept_for_a_service_that_knows_none() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!("services: {{ echo: {{ url: '{}' }} }}", upstream.url()));
    let url = format!("{}/a.B/C?delay=15000", stitch.proxy_url());
    let headers = trailers_only(&url, "echo", &["-H", "grpc-timeout: 200m"]);
    assert!(headers.contains("\ngrpc-status: 4\r"), "{headers}");
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_server() {
    let echo = Echo::start();
    let told = echo.call("cancel", "");
    assert_eq!((&told["code"], &told["messages"]), (&json!("CANCELLED"), &json!(["0", "1", "2"])));
    assert_eq!(echo.ended("ServerStream")["cancelled"], true);
}

#[test]
fn a_message_of_four_mebibytes() {
    assert_eq!(Echo::start().call("large", ""), json!({ "length": 4 << 20, "same": true }));
}

#[test]
fn a_hundred_calls_at_once() {
    let told = Echo::start().call("concurrent", "100");
    let messages: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(told["messages"], json!(messages));
}

#[test]
fn with_tls_on_both_sides() {
    let authority = Certificates::new();
    let pair = authority.issue(&["localhost"]);
    let server = PythonServer::grpc_tls(&pair);
    let (ca, port) = (authority.ca(), server.addr().port());
    let stitch = Stitch::up(&format!(
        "proxy: {{ tls: {{ {} }} }}\nservices: {{ echo: {{ url: 'https://localhost:{port}', \
         hosts: [localhost], tls: {{ ca: '{}' }} }} }}",
        pair.yaml(),
        ca.display()
    ));
    let told = grpc_call_tls(stitch.proxy().port(), &ca, "localhost", "bidi", "");
    good(&told, "Bidi");
}

/// Calls as a gRPC caller would and gives the head of the answer, which has to be all of it.
pub(crate) fn trailers_only(url: &str, host: &str, args: &[&str]) -> String {
    let kind = ["--http2-prior-knowledge", "-X", "POST", "-H", "content-type: application/grpc"];
    let host = format!("Host: {host}");
    let rest = ["-D", "-", "-H", "te: trailers", "-H", &host, url];
    let output = curl(&[&kind[..], &rest, args].concat()).success();
    let (head, body) = output.stdout.split_once("\r\n\r\n").unwrap();
    let version = if args.contains(&"--http1.1") { "HTTP/1.1 200" } else { "HTTP/2 200" };
    assert!(head.starts_with(version), "{head}");
    assert!(head.contains("\ncontent-type: application/grpc\r"), "{head}");
    assert_eq!(body, "", "nothing may follow");
    format!("{head}\r\n")
}

#[test]
fn a_service_that_is_down_is_unavailable() {
    let port = free_port();
    let stitch = Stitch::up(&format!("services: {{ echo: {{ url: 'h2c://127.0.0.1:{port}' }} }}"));
    let told = grpc_call(stitch.proxy(), "echo", "unary", "");
    assert_eq!(told["code"], "UNAVAILABLE");
    let details = told["details"].as_str().unwrap();
    assert!(details.contains("echo") && details.contains(&port.to_string()), "{details}");
    let head = trailers_only(&format!("{}/a.B/C", stitch.proxy_url()), "echo", &[]);
    assert!(head.contains("\ngrpc-status: 14\r") && head.contains("\ngrpc-message: "), "{head}");
    assert!(head.contains("\nx-stitch-reason: connect_refused\r"), "{head}");
}

#[test]
fn a_service_that_nobody_declared_is_not_implemented() {
    let stitch = Stitch::up("services: { other: { endpoints: [{ path: /a }] } }");
    let told = grpc_call(stitch.proxy(), "other", "unary", "");
    assert_eq!(told["code"], "UNIMPLEMENTED");
    let head = trailers_only(&format!("{}/a.B/C", stitch.proxy_url()), "other", &[]);
    assert!(head.contains("\ngrpc-status: 12\r"), "{head}");
}

/// Says something else than HTTP to whoever connects.
fn stranger() -> Upstream {
    Upstream::scripted(|mut stream, _| {
        let mut chunk = [0; 4096];
        // Behind what was asked, so that it is read as the answer.
        let _ = stream.read(&mut chunk);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    })
}

#[test]
fn whatever_is_refused_is_trailers_and_nothing_else() {
    let (stranger, round) = (stranger(), free_port());
    let address = stranger.addr();
    let stitch = Stitch::up(&format!(
        "services:\n  \
           round: {{ port: {round}, url: 'http://127.0.0.1:{round}' }}\n  \
           secret: {{ url: 'https://{address}' }}\n  \
           older: {{ url: 'http://{address}' }}\n  \
           newer: {{ url: 'h2c://{address}' }}\n  \
           mock: {{ endpoints: [{{ path: /other }}] }}\n",
    ));
    let url = format!("{}/a.B/C", stitch.proxy_url());
    for (host, reason, status) in [
        ("round", "loop", 13),
        ("secret", "connect_tls", 14),
        ("older", "upstream_protocol", 13),
        ("newer", "upstream_protocol", 13),
        ("mock", "no_endpoint", 12),
    ] {
        let head = trailers_only(&url, host, &[]);
        let status = format!("\ngrpc-status: {status}\r");
        let reason = format!("\nx-stitch-reason: {reason}\r");
        assert!(head.contains(&status) && head.contains(&reason), "{host}: {head}");
        assert!(head.contains("\ngrpc-message: "), "{host}: {head}");
    }
}

#[test]
fn a_message_over_the_limit_is_resource_exhausted() {
    let server = PythonServer::grpc();
    let stitch = Stitch::up(&format!(
        "proxy: {{ limits: {{ body: 4 }} }}\nservices: {{ echo: {{ url: '{}' }} }}",
        server.url("h2c")
    ));
    let told = grpc_call(stitch.proxy(), "echo", "unary", "");
    assert_eq!(told["code"], "RESOURCE_EXHAUSTED", "{told}");
    // At once, where the length is known, and whole, although nobody has read the request.
    let mut client = h2::Connection::open(stitch.proxy());
    let more = [("content-type", "application/grpc"), ("content-length", "5")];
    let call = client.request(&[&request("POST", "echo", "/a.B/C")[..], &more].concat(), false);
    let answer = client.finish(call);
    assert_eq!((answer.status, answer.end), (Some(200), Some(End::Whole)));
    assert_eq!((answer.sections, answer.body.as_slice()), (1, &b""[..]));
}

#[test]
fn a_target_that_may_not_be_reached_is_permission_denied() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up("proxy: { forward: { allow: [] } }\nservices: {}");
    // Requests that name a target, as clients of a proxy do, are HTTP/1.
    let (url, proxy) = (format!("{}/a.B/C", upstream.url()), stitch.proxy_url());
    let head = trailers_only(&url, "any", &["--http1.1", "-x", &proxy]);
    assert!(head.contains("\ngrpc-status: 7\r"), "{head}");
    assert!(head.contains("\nx-stitch-reason: denied\r"), "{head}");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn others_still_learn_it_in_json() {
    let port = free_port();
    let stitch = Stitch::up(&format!("services: {{ echo: {{ url: 'h2c://127.0.0.1:{port}' }} }}"));
    let answer = http::get(stitch.proxy(), "/a", &[("host", "echo")]);
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (502, Some("connect_refused")));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}
