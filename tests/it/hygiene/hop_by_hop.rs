//! Headers that concern one connection only, and headers that say who is calling.

use super::recorder::Recorder;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use stitch_kit::http::{self, Connection};
use stitch_kit::{Stitch, Upstream, h2, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

fn users(upstream: &Upstream, proxy: &str) -> Stitch {
    Stitch::up(&format!(
        "proxy: {{ {proxy} }}\nservices: {{ users: {{ url: '{}' }} }}",
        upstream.url()
    ))
}

/// Answers every request with these bytes.
fn answering(bytes: impl Into<Vec<u8>>) -> Upstream {
    let bytes = Arc::new(bytes.into());
    Upstream::scripted(move |mut stream, _| {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            if chunk[..count].ends_with(b"\r\n\r\n") && stream.write_all(&bytes).is_err() {
                return;
            }
        }
    })
}

#[test]
fn request_headers_of_one_connection_stay_on_it() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let headers = [
        ("host", "users"),
        ("connection", "keep-alive, X-Secret"),
        ("Connection", "x-other"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic d2ViOg=="),
        ("x-secret", "1"),
        ("x-other", "1"),
        ("te", "gzip"),
        ("x-kept", "1"),
    ];
    assert_eq!(http::get(stitch.proxy(), "/", &headers).status, 200);
    let seen = &upstream.requests()[0];
    for gone in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "x-secret",
        "x-other",
        "te",
    ] {
        assert_eq!(seen.header(gone), None, "{gone} passed");
    }
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[test]
fn connection_cannot_take_away_identity_or_routing() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let tokens = "host, authorization, cookie, x-forwarded-for, x-forwarded-host, \
                  X-Forwarded-Proto, forwarded, content-length";
    let headers = [
        ("host", "users"),
        ("connection", tokens),
        ("authorization", "Bearer a"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=10.0.0.1"),
    ];
    let answer = http::send(stitch.proxy(), "POST", "/", &headers, b"abc");
    assert_eq!(answer.json()["body"], "abc");
    let seen = &upstream.requests()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer a"));
    assert_eq!(seen.header("cookie"), Some("a=b"));
    assert_eq!(seen.header("x-forwarded-for"), Some("10.0.0.1, 127.0.0.1"));
    assert_eq!(seen.headers.all("x-forwarded-host"), ["shop.example"]);
    assert_eq!(seen.headers.all("x-forwarded-proto"), ["https"]);
    assert!(seen.header("forwarded").unwrap().starts_with("for=10.0.0.1"));
}

#[test]
fn response_headers_of_one_connection_stay_on_it() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-internal, set-cookie\r\nkeep-alive: timeout=5\r\n\
         proxy-authenticate: Basic\r\nx-internal: 1\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n\
         x-kept: 1\r\ncontent-length: 2\r\n\r\nok",
    );
    let stitch = users(&upstream, "");
    let answer = http::get(stitch.proxy(), "/", &[("host", "users")]);
    assert_eq!(answer.text(), "ok");
    for gone in ["connection", "keep-alive", "proxy-authenticate", "x-internal"] {
        assert_eq!(answer.header(gone), None, "{gone} passed");
    }
    assert_eq!(answer.headers.all("set-cookie"), ["a=b", "c=d"]);
    assert_eq!(answer.header("x-kept"), Some("1"));
}

#[test]
fn te_trailers_passes() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let headers = [("host", "users"), ("te", "gzip;q=0.5, trailers"), ("connection", "te")];
    assert_eq!(http::get(stitch.proxy(), "/", &headers).status, 200);
    let seen = &upstream.requests()[0];
    assert_eq!((seen.header("te"), seen.header("connection")), (Some("trailers"), Some("te")));
}

#[test]
fn trailers_that_nobody_declared_do_not_declare_themselves() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n",
    );
    let stitch = users(&upstream, "");
    let mut connection = Connection::open(stitch.proxy());
    let asking = [("host", "users"), ("te", "trailers"), ("connection", "te")];
    for _ in 0..2 {
        let answer = connection.request("GET", "/", &asking, b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!((answer.header("trailer"), answer.header("x-sum")), (None, None));
        assert_eq!(answer.trailers.0, []);
    }
    // Those who need no declaration get them.
    let mut client = h2::Connection::open(stitch.proxy());
    let stream = client.get("users", "/");
    let answer = client.finish(stream);
    assert_eq!((answer.body.as_slice(), answer.sections), (&b"ok"[..], 2));
}

#[test]
fn beside_declared_trailers_others_do_not_pass() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         x-other: 1\r\nx-sum: 2\r\n\r\n",
    );
    let stitch = users(&upstream, "");
    let asking = [("host", "users"), ("te", "trailers"), ("connection", "te")];
    let answer = http::get(stitch.proxy(), "/", &asking);
    assert_eq!((answer.text().as_str(), answer.header("trailer")), ("ok", Some("x-sum")));
    assert_eq!(answer.trailers.0, [("x-sum".to_owned(), "2".to_owned())]);
}

#[test]
fn trailers_of_a_request_that_nobody_declared_stay_behind_the_body() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let headers = [("host", "users"), ("transfer-encoding", "chunked")];
    let body = b"3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n";
    let told = http::send(stitch.proxy(), "POST", "/", &headers, body).json();
    assert_eq!(told["body"], "abc");
    assert_eq!(told["trailers"], serde_json::json!([["x-sum", "3"]]));
    let seen = &upstream.requests()[0];
    assert_eq!((seen.header("trailer"), seen.header("x-sum")), (None, None));
}

#[test]
fn a_client_that_expects_is_told_to_continue_once_its_body_is_wanted() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let mut connection = Connection::open(stitch.proxy());
    connection.send(
        "POST /a HTTP/1.1\r\nhost: users\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    );
    assert_eq!(connection.read_bytes(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send("abc");
    assert_eq!(connection.read_response().json()["body"], "abc");
    assert_eq!(upstream.requests()[0].header("expect"), None);
}

#[test]
fn a_client_that_expects_is_not_told_to_continue_for_nothing() {
    let stitch = Stitch::up("services: { shop: { endpoints: [{ path: /a, method: POST }] } }");
    let headers = [("host", "nobody"), ("expect", "100-continue"), ("content-length", "3")];
    let answer = http::send(stitch.proxy(), "POST", "/b", &headers, b"");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.interim, []);
}

#[test]
fn interim_answers_of_an_upstream_are_dropped() {
    let upstream = answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let stitch = users(&upstream, "");
    let mut connection = Connection::open(stitch.proxy());
    for _ in 0..2 {
        let answer = connection.request("GET", "/", &[("host", "users")], b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(answer.interim, []);
        assert_eq!(answer.header("link"), None);
    }
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    assert!(metrics.contains("stitch_upstream_informational_dropped_total 4"), "{metrics}");
}

#[test]
fn an_upgrade_to_h2c_is_served_as_http_1() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let headers = [
        ("host", "users"),
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    let answer = http::get(stitch.proxy(), "/a", &headers);
    assert_eq!((answer.status, answer.version.as_str()), (200, "HTTP/1.1"));
    let seen = &upstream.requests()[0];
    for gone in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(seen.header(gone), None, "{gone} passed");
    }
}

const CLAIMS: [(&str, &str); 7] = [
    ("host", "users"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "shop.example"),
    ("forwarded", "for=10.0.0.1"),
    ("x-stitch-service", "other"),
    ("x-request-id", "mine"),
];

#[test]
fn claims_of_untrusted_peers_are_dropped() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "trust: []");
    let answer = http::get(stitch.proxy(), "/", &CLAIMS);
    assert_eq!(answer.status, 200);
    let seen = &upstream.requests()[0];
    assert_eq!(seen.headers.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.headers.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.headers.all("x-forwarded-host"), ["users"]);
    assert_eq!(seen.header("forwarded"), None);
    assert_eq!(seen.header("x-stitch-service"), None);
    let id = seen.header("x-request-id").unwrap();
    assert!(id != "mine" && !id.is_empty());
    assert_eq!(answer.header("x-request-id"), Some(id));
}

#[test]
fn claims_of_trusted_peers_are_continued() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "trust: loopback");
    let answer = http::get(stitch.proxy(), "/", &CLAIMS);
    assert_eq!(answer.status, 200);
    let seen = &upstream.requests()[0];
    assert_eq!(seen.headers.all("x-forwarded-for"), ["10.0.0.1, 127.0.0.1"]);
    assert_eq!(seen.headers.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.headers.all("x-forwarded-host"), ["shop.example"]);
    assert_eq!(seen.headers.all("forwarded"), ["for=10.0.0.1, for=127.0.0.1;proto=http"]);
    assert_eq!(seen.headers.all("x-request-id"), ["mine"]);
    assert_eq!(answer.header("x-request-id"), Some("mine"));
}

#[test]
fn several_forwarding_lines_are_all_continued() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream, "");
    let headers = [
        ("host", "users"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("forwarded", "for=10.0.0.1"),
        ("forwarded", "for=10.0.0.2"),
    ];
    assert_eq!(http::get(stitch.proxy(), "/", &headers).status, 200);
    let seen = &upstream.requests()[0];
    let whole = seen.headers.all("x-forwarded-for").join(", ");
    assert_eq!(whole, "10.0.0.1, 10.0.0.2, 127.0.0.1");
    let whole = seen.headers.all("forwarded").join(", ");
    assert_eq!(whole, "for=10.0.0.1, for=10.0.0.2, for=127.0.0.1;proto=http");
}

#[test]
fn a_mark_of_ours_is_in_every_request_behind_those_of_others() {
    let recorder = Recorder::new();
    let (_, answer) = recorder.send("GET /a HTTP/1.1\r\nhost: users\r\nvia: 1.0 other\r\n\r\n");
    assert_eq!(answer.status, 200);
    let seen = recorder.seen();
    let other = seen.find("1.0 other").unwrap();
    assert!(seen[other..].contains("1.1 stitch-"), "{seen}");
    assert!(wait_until(PATIENCE, || recorder.open() <= 1));
}
