//! The admin API as programs and web pages meet it: health, metrics, configuration, services, modes,
//! and who may ask.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{Stitch, Upstream, curl, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

const TWO: &str = "
services:
  payments:
    endpoints:
      - { path: /charges, method: POST, response: { paid: true } }
  nats: { type: infra, image: 'nats:2.10-alpine' }
";

fn mixed(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!(
        "services: {{ users: {{ url: '{}', endpoints: [{{ path: /me, response: mocked }}] }} }}",
        upstream.url()
    ))
}

fn put_mode(admin: SocketAddr, service: &str, body: &str) -> Response {
    let target = format!("/api/services/{service}/mode");
    http::send(admin, "PUT", &target, &[("content-type", "application/json")], body.as_bytes())
}

fn problem(answer: &Response, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    for field in ["type", "title", "detail"] {
        assert!(problem[field].is_string(), "no {field} in {problem}");
    }
    problem
}

#[test]
fn a_running_stitch_is_alive_and_ready() {
    let stitch = Stitch::up(TWO);
    let live = http::get(stitch.admin(), "/health/live", &[]);
    assert_eq!((live.status, live.json()), (200, json!({ "status": "live" })));
    let ready = http::get(stitch.admin(), "/health/ready", &[]);
    assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready" })));
    // Health checks come from anywhere, under any name.
    let probe = http::get(stitch.admin(), "/health/ready", &[("host", "stitch.internal")]);
    assert_eq!(probe.status, 200);
}

/// The value of a sample such as `name{a="b"}`.
fn sample(line: &str) -> (&str, &str, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels not closed: {line}"));
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    assert!(!name.is_empty() && name.chars().all(valid), "no name: {line}");
    (name, labels, value)
}

#[test]
fn metrics_are_prometheus_text_and_count_by_who_answered() {
    let upstream = Upstream::echo();
    let stitch = mixed(&upstream);
    for path in ["/me", "/me", "/other"] {
        assert_eq!(http::get(stitch.proxy(), path, &[("host", "users")]).status, 200);
    }
    let users = || http::get(stitch.admin(), "/api/services/users", &[]).json();
    assert!(wait_until(PATIENCE, || users()["data"]["counters"]["requests"] == 3), "{}", users());
    let answer = http::get(stitch.admin(), "/metrics", &[]);
    let format = answer.header("content-type").unwrap();
    assert!(format.starts_with("text/plain; version=0.0.4"), "{format}");
    let text = answer.text();
    let mut typed = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(comment) => {
                let mut words = comment.split(' ');
                if words.next() == Some("TYPE") {
                    typed.push(words.next().unwrap());
                }
            }
            None => {
                let (name, _, _) = sample(line);
                let family = typed.iter().any(|family| name.starts_with(family));
                assert!(family, "{name} has no # TYPE before it");
            }
        }
    }
    let counted = |source: &str| {
        let label = format!("source=\"{source}\"");
        let of_users =
            |labels: &str| labels.contains("service=\"users\"") && labels.contains(&label);
        let samples = text.lines().filter(|line| line.starts_with("stitch_requests_total"));
        samples.map(sample).filter(|(_, labels, _)| of_users(labels)).map(|it| it.2).sum::<f64>()
    };
    assert_eq!((counted("mock"), counted("real")), (2.0, 1.0), "{text}");
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let stitch = Stitch::builder()
        .yaml(
            "proxy:\n  admin:\n    listen: 127.0.0.1:0\n    token: ${SECRET}\n\
             services: { payments: { endpoints: [{ path: /charges }] } }",
        )
        .env("SECRET", "open-sesame-17")
        .start();
    let bearer = [("authorization", "Bearer open-sesame-17")];
    let answer = http::get(stitch.admin(), "/api/config", &bearer);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("payments") && answer.text().contains("token"));
    for text in [answer.text(), stitch.stdout(), stitch.stderr()] {
        assert!(!text.contains("open-sesame"), "{text}");
    }
}

#[test]
fn services_are_listed_with_what_they_are_and_did() {
    let stitch = Stitch::up(TWO);
    let host = [("host", "payments")];
    assert_eq!(http::send(stitch.proxy(), "POST", "/charges", &host, b"{}").status, 200);
    // A request is counted when its answer has ended, which the caller may see first.
    let counted = || {
        let payments = http::get(stitch.admin(), "/api/services/payments", &[]).json();
        payments["data"]["counters"]["mock"] == 1
    };
    assert!(wait_until(PATIENCE, counted), "the request is not counted");
    let answer = http::get(stitch.admin(), "/api/services", &[]).json();
    let services = answer["data"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|service| &service["name"]).collect();
    assert_eq!(names, ["payments", "nats"]);
    let payments = http::get(stitch.admin(), "/api/services/payments", &[]).json();
    let payments = &payments["data"];
    assert_eq!(payments, &services[0]);
    assert_eq!((&payments["kind"], &payments["mode"]), (&json!("mock"), &json!("mock")));
    assert_eq!(payments["endpoints"][0]["id"], "payments POST /charges");
    assert_eq!(payments["endpoints"][0]["hits"], 1);
    assert_eq!(services[1]["kind"], "infra");
    assert_eq!(services[1].get("mode"), None);
}

#[test]
fn a_mode_set_by_the_api_holds_at_once_and_says_what_the_file_has() {
    let upstream = Upstream::echo();
    let stitch = mixed(&upstream);
    let source = || {
        let answer = http::get(stitch.proxy(), "/me", &[("host", "users")]);
        answer.header("x-stitch-source").unwrap().to_owned()
    };
    assert_eq!(source(), "mock");
    let answer = put_mode(stitch.admin(), "users", r#"{"mode":"real"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"]["mode"], "real");
    assert_eq!(answer.json()["data"]["mode_in_file"], "mock-then-real");
    assert_eq!(source(), "real");
    let answer = put_mode(stitch.admin(), "users", r#"{"mode":"mock-then-real"}"#);
    assert_eq!(answer.json()["data"].get("mode_in_file"), None);
    assert_eq!(source(), "mock");
}

#[test]
fn every_refusal_is_a_problem_that_names_what_was_wrong() {
    let upstream = Upstream::echo();
    let stitch = mixed(&upstream);
    let admin = stitch.admin();
    let near = problem(&put_mode(admin, "usres", r#"{"mode":"real"}"#), 404);
    assert!(near["hint"].as_str().unwrap().contains("users"), "{near}");
    let unknown = problem(&put_mode(admin, "users", r#"{"mode":"fake"}"#), 400);
    assert!(unknown["detail"].as_str().unwrap().contains("fake"), "{unknown}");
    assert!(unknown["hint"].as_str().unwrap().contains("real-then-mock"), "{unknown}");
    for broken in ["", "{", "[]", r#"{"mode":1}"#] {
        problem(&put_mode(admin, "users", broken), 400);
    }
    problem(&http::get(admin, "/api/services/nobody", &[]), 404);
    problem(&http::get(admin, "/api/nothing", &[]), 404);
    problem(&http::get(admin, "/nothing", &[]), 404);
    problem(&http::send(admin, "DELETE", "/api/services", &[], b""), 405);
    problem(&http::send(admin, "POST", "/metrics", &[], b""), 405);
    let text = http::get(admin, "/api/nothing", &[("accept", "text/plain")]);
    assert_eq!(text.status, 404);
    assert!(text.header("content-type").unwrap().starts_with("text/plain"), "{text:?}");
}

#[test]
fn a_service_without_a_real_side_cannot_become_real() {
    let stitch = Stitch::up(TWO);
    let refused = problem(&put_mode(stitch.admin(), "payments", r#"{"mode":"real"}"#), 409);
    assert!(refused["detail"].as_str().unwrap().contains("payments"), "{refused}");
    let answer = http::send(stitch.proxy(), "POST", "/charges", &[], b"{}");
    assert_eq!(answer.header("x-stitch-source"), Some("mock"));
}

#[test]
fn web_pages_may_not_use_the_api() {
    let stitch = Stitch::up(TWO);
    let admin = stitch.admin();
    // A name re-pointed to loopback, and a page of another origin.
    for header in [("host", "evil.example"), ("origin", "https://evil.example"), ("origin", "null")]
    {
        problem(&http::get(admin, "/api/config", &[header]), 403);
        let answer = http::send(
            admin,
            "PUT",
            "/api/services/payments/mode",
            &[header],
            br#"{"mode":"mock"}"#,
        );
        problem(&answer, 403);
    }
    let own = format!("http://{admin}");
    assert_eq!(http::get(admin, "/api/config", &[("origin", &own)]).status, 200);
    let host = format!("localhost:{}", admin.port());
    assert_eq!(http::get(admin, "/api/config", &[("host", &host)]).status, 200);
}

#[test]
fn off_loopback_the_api_needs_its_token_and_health_does_not() {
    let yaml = |token: &str| {
        format!(
            "proxy: {{ admin: {{ listen: '0.0.0.0:0'{token} }} }}\n\
             services: {{ payments: {{ endpoints: [{{ path: /charges }}] }} }}"
        )
    };
    let refused = Stitch::builder().yaml(&yaml("")).command("up").output();
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("token"), "{}", refused.stderr);

    let stitch =
        Stitch::builder().yaml(&yaml(", token: 's3cret'")).args(["--admin", "0.0.0.0:0"]).start();
    let url = format!("http://{}", stitch.admin());
    let status = |path: &str, more: &[&str]| {
        let url = format!("{url}{path}");
        let args = [&["-o", "/dev/null", "-w", "%{http_code}", &url], more].concat();
        curl(&args).success().stdout
    };
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(status(path, &[]), "200", "{path}");
    }
    assert_eq!(status("/api/config", &[]), "401");
    assert_eq!(status("/api/config", &["-H", "authorization: Bearer wrong"]), "401");
    assert_eq!(status("/api/config", &["-H", "authorization: Bearer s3cret"]), "200");
    let answer = http::get(stitch.admin(), "/api/services", &[]);
    problem(&answer, 401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn the_command_line_cannot_open_the_api_without_a_token() {
    let output = Stitch::builder()
        .yaml("services: { payments: { endpoints: [{ path: /charges }] } }")
        .args(["--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"])
        .output();
    assert!([1, 2].contains(&output.code()), "{}", output.stderr);
    assert!(output.stderr.contains("token"), "{}", output.stderr);
}

#[test]
fn the_log_tells_when_a_breaker_opens_and_closes() {
    let stitch = Stitch::up(
        "services:\n  a:\n    endpoints: [{ path: /bad, response: 500 }]\n    breaker: { consecutive: 2 }\n",
    );
    for _ in 0..2 {
        assert_eq!(http::get(stitch.proxy(), "/bad", &[("host", "a")]).status, 500);
    }
    let says = |line: &str| wait_until(PATIENCE, || stitch.stderr().contains(line));
    let open =
        "WARN stitch_proxy::breakers::told: the breaker a is open: too many failures in a row";
    assert!(says(open), "{}", stitch.stderr());
    let reset = http::send(stitch.admin(), "POST", "/api/breakers/a/reset", &[], b"");
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert!(says("the breaker a is closed: reset by the admin API"), "{}", stitch.stderr());
}
