//! Every policy at once, and every kind of request comes through as if there were none.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stitch_kit::http::{self, Connection};
use stitch_kit::{Answer, PythonServer, Stitch, Upstream, curl, digest, python, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// The key is `hunter2`.
const EVERYTHING: &str = r#"
proxy: { access_log: { only: all, format: json } }
defaults:
  breaker: { consecutive: 3, failure_rate: 50%, slow: { over: 15s } }
  retry: { retries: 2, backoff: 1ms..5ms, hedge: { after: 15s } }
  timeout: { connect: 5s, first_byte: 20s, per_try: 20s, request: 30s, idle: 30s }
  concurrency: { max: 20, queue: 20, wait: 10s }
  rate_limit: [{ rate: 9000/s, by: client_ip }, 9000/s]
  balance: least_request
  eject: true
  slow_start: 1s
  headers:
    request: { set: { x-layer: "for {{ client.ip }}" }, remove: x-debug }
    response: { set: { x-served-by: stitch } }
  auth:
    api_key:
      keys: { alice: "sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7" }
      owner_header: x-owner
  cors: { origins: ["http://app.test"], credentials: true }
  compression: true
  body: { request: { set: { $.by: proxy } }, response: { remove: [$.secret] } }
  fallback: { status: 203, body: fallback }
  mirror: { to: copy, max_body: 2MiB }
routes:
- { match: /open/**, to: users, auth: none }
services:
"#;

const KEY: (&str, &str) = ("x-api-key", "hunter2");

/// Stitch with all policies before one service, and where the copies go.
struct Layers {
    stitch: Stitch,
    copy: Upstream,
}

impl Layers {
    fn before(name: &str, urls: &[String]) -> Self {
        let copy = Upstream::http(|_| Answer::new(200, "copied"));
        let mut text = EVERYTHING.to_owned();
        if name != "users" {
            text = text.replace("to: users", &format!("to: {name}"));
        }
        writeln!(text, "  {name}: {{ urls: {urls:?}, port: 0 }}").unwrap();
        writeln!(text, "  copy: {{ url: '{}', mirror: none, auth: none }}", copy.url()).unwrap();
        Self { stitch: Stitch::up(&text), copy }
    }

    /// What a breaker, a limit or anything else would have had to say.
    #[track_caller]
    fn nothing_was_refused(&self) {
        for (name, labels) in [
            ("stitch_retries_total", &["retried"][..]),
            ("stitch_circuit_breaker_transitions_total", &[]),
            ("stitch_rate_limit_requests_total", &["refused"]),
            ("stitch_concurrency_rejected_total", &[]),
            ("stitch_endpoint_ejections_total", &[]),
        ] {
            let told = total(&self.stitch, name, labels);
            assert!(told.eq(&0.0), "{name}{labels:?} is {told}");
        }
        let free = || total(&self.stitch, "stitch_concurrency_in_flight", &[]).eq(&0.0);
        assert!(wait_until(PATIENCE, free), "somebody still has a place");
        let log = self.stitch.stderr();
        assert!(!log.contains("hunter2"), "{log}");
    }
}

/// The sum of a metric over all services.
fn total(stitch: &Stitch, name: &str, labels: &[&str]) -> f64 {
    let text = http::get(stitch.admin(), "/metrics", &[]).text();
    let of_name = text.lines().filter(|line| line.starts_with(name));
    let lines = of_name.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Two servers that answer JSON about what they got, with a secret in it.
fn users() -> [Upstream; 2] {
    [(); 2].map(|()| {
        Upstream::http(|request| {
            if let Some(bytes) = request.query("bytes") {
                return Answer::new(200, vec![b'x'; bytes.parse().unwrap()]);
            }
            let told = json!({
                "method": request.method,
                "length": request.body.len(),
                "digest": digest(&request.body),
                "body": String::from_utf8_lossy(&request.body[..request.body.len().min(999)]),
                "headers": request.headers.0,
                "secret": "s3cr3t",
                "filler": "x".repeat(500),
            });
            Answer::new(200, told.to_string()).header("content-type", "application/json")
        })
    })
}

fn before_users(upstreams: &[Upstream]) -> Layers {
    Layers::before("users", &upstreams.iter().map(Upstream::url).collect::<Vec<_>>())
}

/// A header that the service got.
fn got<'j>(told: &'j Value, name: &str) -> Option<&'j str> {
    let all = told["headers"].as_array().unwrap();
    all.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str())
}

#[test]
fn reads_writes_and_questions_of_browsers() {
    let upstreams = users();
    let layers = before_users(&upstreams);
    let stitch = &layers.stitch;
    let origin = ("origin", "http://app.test");
    let headers = [("host", "users"), KEY, origin, ("x-debug", "1"), ("x-owner", "root")];

    let answer = http::get(stitch.proxy(), "/a", &headers);
    assert_eq!((answer.status, answer.header("x-stitch-source")), (200, Some("real")));
    assert_eq!(answer.header("x-served-by"), Some("stitch"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://app.test"));
    let told = answer.json();
    assert_eq!(told.get("secret"), None, "{told}");
    assert_eq!(
        (got(&told, "x-layer"), got(&told, "x-owner")),
        (Some("for 127.0.0.1"), Some("alice"))
    );
    assert_eq!((got(&told, "x-debug"), got(&told, "x-api-key")), (None, None));
    assert_eq!(got(&told, "x-stitch-attempt"), Some("1"));

    let json = [&headers[..], &[("content-type", "application/json")]].concat();
    let told = http::send(stitch.proxy(), "POST", "/a", &json, b"{\"a\": 1}").json();
    assert_eq!(told["body"], "{\"a\":1,\"by\":\"proxy\"}");

    let head = http::send(stitch.proxy(), "HEAD", "/a", &headers, b"");
    assert_eq!((head.status, head.body.len()), (200, 0));

    // A browser's question has no key, and needs none.
    let asks = [("host", "users"), origin, ("access-control-request-method", "PUT")];
    let preflight = http::send(stitch.proxy(), "OPTIONS", "/a", &asks, b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("PUT"));

    // Whoever shows none is told so, in a way that a page can read.
    let refused = http::get(stitch.proxy(), "/a", &[("host", "users"), origin]);
    assert_eq!((refused.status, refused.header("x-stitch-reason")), (401, Some("unauthenticated")));
    assert_eq!(refused.header("access-control-allow-origin"), Some("http://app.test"));
    assert_eq!(http::get(stitch.proxy(), "/open/a", &[]).status, 200);

    let asked: usize = upstreams.iter().map(|upstream| upstream.requests().len()).sum();
    assert_eq!(asked, 4, "neither the question nor the refusal");
    assert!(wait_until(PATIENCE, || layers.copy.requests().len() == 4));
    let copies = layers.copy.requests();
    assert!(copies.iter().all(|copy| copy.header("x-stitch-mirror") == Some("1")));
    assert!(copies.iter().all(|copy| copy.header("x-api-key").is_none()));
    assert!(copies.iter().any(|copy| copy.body == b"{\"a\":1,\"by\":\"proxy\"}"));
    layers.nothing_was_refused();
}

#[test]
fn compressed_answers_and_clients_of_http_2() {
    let upstreams = users();
    let layers = before_users(&upstreams);
    let url = format!("{}/a", layers.stitch.proxy_url());
    let ask =
        ["--fail", "-H", "host: users", "-H", "x-api-key: hunter2", "-D", "-", "--compressed"];
    for (version, line) in
        [("--http1.1", "HTTP/1.1 200"), ("--http2-prior-knowledge", "HTTP/2 200")]
    {
        let type_of = ["-H", "content-type: application/json", "-d", "{\"a\":1}"];
        let output = curl(&[&ask[..], &type_of, &[version, &url]].concat()).success().stdout;
        let (head, body) = output.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(line), "{head}");
        assert!(head.contains("\nx-served-by: stitch\r"), "{head}");
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["body"], "{\"a\":1,\"by\":\"proxy\"}", "{version}");
        assert_eq!((told.get("secret"), got(&told, "x-owner")), (None, Some("alice")), "{version}");
        assert!(head.contains("\ncontent-encoding: "), "{head}");
    }
    let refused = curl(&[
        "-H",
        "host: users",
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
        "--http2-prior-knowledge",
        &url,
    ]);
    assert_eq!(refused.success().stdout, "401");
    layers.nothing_was_refused();
}

#[test]
fn an_upload_of_one_mebibyte_that_asks_first() {
    let upstreams = users();
    let layers = before_users(&upstreams);
    let body: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut client = Connection::open(layers.stitch.proxy());
    client.send(format!(
        "POST /a HTTP/1.1\r\nhost: users\r\nx-api-key: hunter2\r\nexpect: 100-continue\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    let go_on = b"HTTP/1.1 100 Continue\r\n";
    assert_eq!(client.read_bytes(go_on.len()), go_on);
    client.read_bytes(2);
    client.send(&body);
    let answer = client.read_response();
    let told = answer.json();
    assert_eq!((answer.status, &told["digest"]), (200, &json!(digest(&body))));
    assert!(wait_until(PATIENCE, || layers.copy.requests().len() == 1));
    assert_eq!(digest(&layers.copy.requests()[0].body), digest(&body));

    // Without a key nobody asks for the body.
    let mut client = Connection::open(layers.stitch.proxy());
    client.send(
        "POST /a HTTP/1.1\r\nhost: users\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    );
    let refused = client.read_response();
    assert_eq!((refused.status, refused.interim.len()), (401, 0));
    layers.nothing_was_refused();
}

#[test]
fn a_download_of_fifty_mebibytes_in_bounded_memory() {
    let upstreams = users();
    let layers = before_users(&upstreams);
    let headers = [("host", "users"), KEY, ("accept-encoding", "gzip")];
    assert_eq!(http::get(layers.stitch.proxy(), "/a?bytes=9", &headers).status, 200);
    let before = layers.stitch.peak_memory();
    let answer = http::get(layers.stitch.proxy(), "/a?bytes=52428800", &headers);
    assert_eq!((answer.status, answer.body.len()), (200, 50 << 20));
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
    let more = layers.stitch.peak_memory() - before;
    assert!(more < 20 << 10, "{more} KiB more");
    layers.nothing_was_refused();
}

#[test]
fn a_stream_of_events_arrives_one_by_one() {
    let gate = Arc::new(AtomicBool::new(false));
    let opened = gate.clone();
    let upstream = Upstream::scripted(move |mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(format!("{head}data: one\n\n").as_bytes());
        wait_until(PATIENCE, || opened.load(Ordering::SeqCst));
        let _ = stream.write_all(b"data: two\n\n");
    });
    let layers = Layers::before("events", &[upstream.url()]);
    let mut client = Connection::open(layers.stitch.proxy());
    client.send(
        "GET /a HTTP/1.1\r\nhost: events\r\nx-api-key: hunter2\r\naccept-encoding: gzip\r\n\r\n",
    );
    let mut so_far = String::new();
    // It ends when the first event is there: the second one has not been sent.
    while !so_far.contains("data: one\n\n") {
        so_far.push(char::from(client.read_bytes(1)[0]));
    }
    assert!(so_far.starts_with("HTTP/1.1 200") && so_far.contains("\r\nx-served-by: stitch\r\n"));
    assert!(!so_far.contains("content-encoding"), "{so_far}");
    gate.store(true, Ordering::SeqCst);
    while !so_far.contains("data: two\n\n") {
        so_far.push(char::from(client.read_bytes(1)[0]));
    }
    while !so_far.ends_with("\r\n0\r\n\r\n") {
        so_far.push(char::from(client.read_bytes(1)[0]));
    }
    layers.nothing_was_refused();
}

/// PORT: what a WebSocket says with a key, and the status without one.
const CHAT: &str = r#"
import asyncio, json, os, sys
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

async def main():
    reach = {"host": "127.0.0.1", "port": int(sys.argv[1]), "proxy": None, "max_size": 16 << 20}
    told = {}
    key = {"x-api-key": "hunter2"}
    async with connect("ws://chat/room", additional_headers=key, subprotocols=["chat.v1"], **reach) as socket:
        await socket.send("hello")
        told["text"] = await socket.recv()
        large = os.urandom(1 << 20)
        await socket.send(large)
        told["large"] = await socket.recv() == large
        told["subprotocol"] = socket.subprotocol
    try:
        async with connect("ws://chat/room", **reach):
            told["refused"] = "nothing"
    except InvalidStatus as error:
        told["refused"] = error.response.status_code
    print(json.dumps(told))

asyncio.run(main())
"#;

#[test]
fn a_websocket() {
    let server = PythonServer::websocket();
    let layers = Layers::before("chat", &[server.url("http")]);
    let port = layers.stitch.proxy().port().to_string();
    let output = python(CHAT).arg(port).output().success();
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        told,
        json!({ "text": "hello", "large": true, "subprotocol": "chat.v1", "refused": 401 })
    );
    let opened = server.wait_for_event("opened", |_| true);
    let headers = opened["headers"].as_array().unwrap();
    let has = |name: &str, value: &str| {
        headers
            .iter()
            .any(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name) && pair[1] == value)
    };
    assert!(has("x-owner", "alice") && has("x-layer", "for 127.0.0.1"), "{opened}");
    assert!(!opened.to_string().contains("hunter2"), "{opened}");
    assert!(layers.copy.requests().is_empty(), "upgrades are not copied");
    layers.nothing_was_refused();
}

/// ADDRESS URL: calls of gRPC and gRPC-Web with a key, and their codes without one.
const CALLS: &str = r#"
import json, sys
import grpc, sonora.client

ECHO = "/stitch.test.Echo/"
KEY = (("x-api-key", "hunter2"),)
same = lambda message: message
address, url = sys.argv[1:]
told = {}

def code(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name
    return "OK"

options = [("grpc.default_authority", "echo"), ("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
with grpc.insecure_channel(address, options) as channel:
    unary = channel.unary_unary(ECHO + "Unary")
    told["unary"] = unary(b"hello", 20, KEY).decode()
    stream = channel.unary_stream(ECHO + "ServerStream")
    told["stream"] = [message.decode() for message in stream(b"5", 20, KEY)]
    bidi = channel.stream_stream(ECHO + "Bidi")
    told["bidi"] = [message.decode() for message in bidi(iter([b"a", b"b"]), 20, KEY)]
    told["failed"] = code(lambda: channel.unary_unary(ECHO + "Fail")(b'[5, "no such thing"]', 20, KEY))
    told["refused"] = code(lambda: unary(b"hello", 20))
with sonora.client.insecure_web_channel(url) as channel:
    unary = channel.unary_unary(ECHO + "Unary", same, same)
    told["web"] = unary(b"hello", 20, KEY).decode()
    stream = channel.unary_stream(ECHO + "ServerStream", same, same)
    told["web_stream"] = [message.decode() for message in stream(b"5", 20, KEY)]
    told["web_refused"] = code(lambda: unary(b"hello", 20, ()))
print(json.dumps(told))
"#;

#[test]
fn grpc_and_grpc_web() {
    let server = PythonServer::grpc();
    let layers = Layers::before("echo", &[server.url("h2c")]);
    let address = layers.stitch.proxy().to_string();
    let url = layers.stitch.service_url("echo");
    let output = python(CALLS).args([address, url]).output().success();
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let five = json!(["0", "1", "2", "3", "4"]);
    assert_eq!(
        told,
        json!({
            "unary": "hello", "stream": five, "bidi": ["a", "b"], "failed": "NOT_FOUND",
            "refused": "UNAUTHENTICATED", "web": "hello", "web_stream": five,
            "web_refused": "UNAUTHENTICATED",
        })
    );
    layers.nothing_was_refused();
}
