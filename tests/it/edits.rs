//! Header and body edits, and the fallback, end to end.

use serde_json::{Value, json};
use std::fmt::Write as _;
use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream, free_port};

const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A service that answers `body` with these headers to everything.
fn answering(body: &'static str, headers: &'static [(&str, &str)]) -> Upstream {
    Upstream::http(move |_| {
        let answer = Answer::new(200, body);
        headers.iter().fold(answer, |answer, (name, value)| answer.header(name, *value))
    })
}

fn up(upstream: &Upstream, policies: &str, routes: &str) -> Stitch {
    let mut yaml = format!("services:\n  users:\n    url: '{}'\n", upstream.url());
    for line in policies.lines() {
        writeln!(yaml, "    {}", line.trim_end()).unwrap();
    }
    Stitch::up(&format!("{yaml}routes:\n- {{ match: /**, to: users }}\n{routes}"))
}

fn post(stitch: &Stitch, body: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    http::send(stitch.proxy(), "POST", "/users/7", &headers, body.as_bytes())
}

#[test]
fn the_service_gets_the_edited_headers() {
    let upstream = Upstream::echo();
    let stitch = up(
        &upstream,
        "headers:\n  request:\n    remove: [x-debug]\n    \
         set: { x-env: dev, x-from: '{{ client.ip }}', x-trace: '{{ trace.id }}', \
                x-copy: '{{ request.id }}/{{ request.headers.x_debug }}' }\n    \
         add: { x-list: [two, three] }\n",
        "",
    );
    let headers = [("x-debug", "on"), ("x-env", "forged"), ("x-list", "one"), ("traceparent", W3C)];
    let answer = http::get(stitch.proxy(), "/a", &headers);
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(seen.header("x-debug"), None);
    assert_eq!(seen.headers.all("x-env"), ["dev"]);
    assert_eq!(seen.headers.all("x-list"), ["one", "two", "three"]);
    assert_eq!(seen.header("x-from"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-trace"), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let copy = format!("{}/on", answer.header("x-request-id").unwrap());
    assert_eq!(seen.header("x-copy"), Some(copy.as_str()));
}

#[test]
fn the_client_gets_the_edited_headers_of_real_and_mocked_answers() {
    let upstream = answering("real", &[("server", "secret"), ("x-served-by", "users")]);
    let stitch = up(
        &upstream,
        "endpoints: [{ path: /mocked, response: { body: mock, headers: { server: m } } }]\n\
         headers:\n  response:\n    remove: server\n    set: { x-asked: '{{ request.query.q }}' }\n    \
         add: { x-served-by: stitch }\n",
        "",
    );
    for (target, served) in
        [("/real?q=a%20b", &["users", "stitch"][..]), ("/mocked?q=a%20b", &["stitch"])]
    {
        let answer = http::get(stitch.proxy(), target, &[]);
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.header("server"), None, "{target}");
        assert_eq!(answer.header("x-asked"), Some("a b"), "{target}");
        assert_eq!(answer.headers.all("x-served-by"), served, "{target}");
    }
}

#[test]
fn a_route_has_edits_of_its_own_and_knows_its_path() {
    let upstream = Upstream::echo();
    let stitch = up(
        &upstream,
        "headers: { request: { set: { x-service: 'yes' } } }",
        "- match: '/users/{id}'\n  to: users\n  rewrite: '/v2/{id}'\n  \
           headers: { request: { set: { x-id: 'user {{ request.path.id }}' } } }\n\
         - { match: /plain, to: users, headers: none }\n",
    );
    for (target, service, id) in [
        ("/users/a%20b", None, Some("user a b")),
        ("/users/a%0Ab", None, None),
        ("/plain", None, None),
        ("/other", Some("yes"), None),
    ] {
        let headers = [("x-id", "forged")];
        let headers = if id.is_some() || target.contains("%0A") { &headers[..] } else { &[] };
        assert_eq!(http::get(stitch.proxy(), target, headers).status, 200, "{target}");
        let seen = upstream.requests().pop().unwrap();
        assert_eq!((seen.header("x-service"), seen.header("x-id")), (service, id), "{target}");
    }
}

#[test]
fn the_service_gets_the_edited_body() {
    let upstream = Upstream::echo();
    let stitch = up(
        &upstream,
        "body: { request: { remove: [$.secret], set: { $.by: proxy }, max: 1KiB } }",
        "",
    );
    let sent = "{\"n\": 12345678901234567890123, \"secret\": 1}";
    for headers in [&[][..], &[("transfer-encoding", "chunked")]] {
        let chunked = format!("{:x}\r\n{sent}\r\n0\r\n\r\n", sent.len());
        let body = if headers.is_empty() { sent } else { &chunked };
        assert_eq!(post(&stitch, body, headers).status, 200);
        let seen = upstream.requests().pop().unwrap();
        let expected = "{\"n\":12345678901234567890123,\"by\":\"proxy\"}";
        assert_eq!(String::from_utf8_lossy(&seen.body), expected);
        assert_eq!(seen.header("content-length"), Some(expected.len().to_string().as_str()));
    }
    let large = format!("{{\"secret\":\"{}\"}}", "x".repeat(2000));
    for body in ["{\"secret\": 1", large.as_str(), "not json"] {
        assert_eq!(post(&stitch, body, &[]).status, 200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.body), body, "passes as it is");
    }
}

#[test]
fn the_client_gets_the_edited_body_and_a_length_that_fits() {
    let upstream = answering(
        "{\"items\":[{\"id\":1,\"secret\":2},{\"id\":3}],\"big\":1e400}",
        &[("content-type", "application/json"), ("etag", "\"1\"")],
    );
    let stitch = up(
        &upstream,
        "body: { response: { remove: ['$.items[*].secret'], set: { $.debug: true } } }",
        "",
    );
    let answer = http::get(stitch.proxy(), "/", &[("accept-encoding", "gzip, br")]);
    let asked = upstream.requests().pop().unwrap();
    assert_eq!(asked.header("accept-encoding"), Some("identity"), "what is edited is readable");
    let expected = "{\"items\":[{\"id\":1},{\"id\":3}],\"big\":1e400,\"debug\":true}";
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
    assert_eq!(answer.header("etag"), None);
    let head = http::send(stitch.proxy(), "HEAD", "/", &[], b"");
    assert_eq!((head.status, head.header("etag")), (200, Some("\"1\"")), "nothing was read");
}

#[test]
fn edits_are_counted() {
    let upstream = answering("{\"a\":1}", &[("content-type", "application/json")]);
    let stitch = up(&upstream, "body: { response: { remove: [$.a] } }", "");
    assert_eq!(http::get(stitch.proxy(), "/", &[]).text(), "{}");
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    let line = metrics.lines().find(|line| line.starts_with("stitch_body_edits_total{"));
    let line = line.unwrap_or_default();
    for part in ["service=\"users\"", "direction=\"response\"", "result=\"edited\"", "} 1"] {
        assert!(line.contains(part), "{part} is not in {line:?}");
    }
}

#[test]
fn the_fallback_answers_when_nothing_else_can() {
    let stitch = Stitch::up(&format!(
        "defaults: {{ fallback: {{ status: 503, headers: {{ retry-after: '5' }}, body: {{ error: away }} }} }}\n\
         services:\n  away: {{ url: 'http://127.0.0.1:{port}' }}\n  \
           list: {{ url: 'http://127.0.0.1:{port}', fallback: {{ body: [] }} }}\n  \
           bare: {{ url: 'http://127.0.0.1:{port}', fallback: none }}\n",
        port = free_port()
    ));
    let get = |host: &str| http::get(stitch.proxy(), "/", &[("host", host)]);
    let away = get("away");
    assert_eq!((away.status, away.header("retry-after")), (503, Some("5")));
    assert_eq!(away.json(), json!({ "error": "away" }));
    let list = get("list");
    assert_eq!((list.status, list.json()), (200, Value::Array(vec![])));
    let bare = get("bare");
    assert_eq!((bare.status, bare.header("x-stitch-reason")), (502, Some("connect_refused")));
}

#[test]
fn edits_hold_when_the_mock_or_stitch_answers_for_the_service() {
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    url: 'http://127.0.0.2:{}'\n    mode: real-then-mock\n    \
         headers: {{ response: {{ set: {{ x-edited: 'yes' }} }} }}\n    \
         body: {{ request: {{ set: {{ $.by: proxy }} }}, response: {{ set: {{ $.seen: true }} }} }}\n    \
         endpoints: [{{ path: '/users/7', method: POST, response: {{ by: '{{{{ request.body.by }}}}' }} }}]\n\
         routes: [{{ match: /**, to: users }}]\n",
        free_port()
    ));
    let mocked = post(&stitch, "{\"a\": 1}", &[]);
    assert_eq!(mocked.header("x-stitch-reason"), Some("connect_refused"), "{}", mocked.text());
    assert_eq!(mocked.json(), json!({ "by": "proxy", "seen": true }));
    assert_eq!(mocked.header("x-edited"), Some("yes"));
    let failed = http::get(stitch.proxy(), "/none", &[]);
    assert_eq!((failed.status, failed.header("x-edited")), (502, Some("yes")));
}
