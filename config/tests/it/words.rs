//! Every policy is shown wherever policies are: a key that is added to the schema and forgotten here
//! fails.

use serde_json::Value;
use stitch_config::model::Config;
use stitch_config::{dump_match, dump_policies, dump_route_policies, schema, words};

/// A service and a route that have every policy there is.
const ALL: &str = "
services:
  users:
    urls: [http://localhost:1, http://localhost:2]
    timeout: { connect: 500ms, first_byte: 1s, per_try: 2s, request: 10s, idle: 1m }
    health: { path: /health, every: 10s, timeout: 2s, healthy: 2, unhealthy: 3 }
    retry: { retries: 3, on: [connect, 5xx, 429, UNAVAILABLE], unsafe: true, hedge: { after: p95, max: 2 } }
    breaker: { slow: { over: 2s, rate: 80% } }
    eject: true
    headers: { request: { set: { x-a: hunter2 }, remove: x-b }, response: { add: { x-c: 1 } } }
    body: { response: { set: { $.password: hunter2 }, remove: $.secret } }
    fallback: { status: 503, body: { error: away } }
    rate_limit: [100/s, { rate: 10/m, by: header:x-user, burst: 3 }]
    concurrency: { max: 64, queue: 32, wait: 250ms }
    balance: hash:header:x-user
    slow_start: 30s
    compression: true
    cors: { origins: https://app.example.com, methods: [GET, PUT], credentials: true, max_age: 10m }
    mirror: { to: copy, percent: 10%, max: 8, max_body: 64KiB }
    auth:
      api_key: { keys: { ann: 'sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7' } }
      forward: http://localhost:9/check?key=hunter2
  copy: { url: http://localhost:3 }
  db:
    type: tcp
    urls: [tcp://localhost:4, tcp://localhost:5]
    timeout: { connect: 1s, idle: 1h }
    balance: round_robin
    health: { every: 5s }
routes:
  - match: /api/**
    to: users
    timeout: { per_try: 3s }
    retry: 1
    breaker: false
    rate_limit: 5/s
    concurrency: adaptive
";

fn keys(definition: &str) -> Vec<String> {
    let schema = schema();
    let keys = schema["$defs"][definition]["properties"].as_object().unwrap();
    keys.keys().cloned().collect()
}

fn said(config: &Config, service: &str) -> Vec<(&'static str, String)> {
    let all = words::in_force(config.service(service).unwrap()).into_iter();
    all.map(|policy| (policy.key, policy.says)).collect()
}

#[test]
fn every_policy_of_the_schema_is_in_the_dump_and_in_words() {
    let config = super::config(ALL);
    let dumped = dump_policies(config.service("users").unwrap());
    let said = said(&config, "users");
    let keys = keys("Defaults");
    assert!(keys.len() >= 16, "{keys:?}");
    for key in keys {
        assert!(!matches!(dumped[&key], Value::Null | Value::Bool(false)), "{key}: {dumped}");
        assert!(said.iter().any(|(one, _)| **one == *key), "{key} is not in {said:?}");
    }
    for text in [dumped.to_string(), format!("{said:?}")] {
        // The value of a header that is no secret by its name may be shown.
        let text = text.replace("[\"x-a\",\"hunter2\"]", "");
        assert!(!text.contains("hunter2") && !text.contains("f52fbd"), "{text}");
    }
}

#[test]
fn every_policy_is_there_even_where_none_is_written() {
    let config = super::config("services: { users: { url: http://localhost:1 } }");
    let dumped = dump_policies(&config.services[0]);
    for key in keys("Defaults") {
        assert!(dumped.get(&key).is_some(), "{key}: {dumped}");
    }
    assert_eq!(said(&config, "users"), [("timeout", "connect 2s, request none, idle 5m".into())]);
}

#[test]
fn words_are_those_of_the_file() {
    let config = super::config(ALL);
    let expected = [
        ("timeout", "connect 500ms, first_byte 1s, per_try 2s, request 10s, idle 1m"),
        ("cors", "https://app.example.com; GET, PUT; credentials; max_age 10m"),
        ("auth", "api_key in header:x-api-key, and forward to http://localhost:9/check"),
        ("rate_limit", "100/s; burst 100"),
        ("rate_limit", "10/m by header:x-user; burst 3"),
        ("concurrency", "max 64; queue 32 for 250ms"),
        ("headers", "request: set x-a, remove x-b; response: add x-c"),
        ("body", "response: set $.password, remove $.secret"),
        ("mirror", "10% to copy; max 8; bodies up to 64KiB"),
        (
            "retry",
            "3 on connect, 5xx, 429, UNAVAILABLE; 25ms..250ms; budget 20%; unsafe; hedge after p95, \
             at most 2",
        ),
        ("breaker", "5 in a row or 50% of 20 in 10s or 80% over 2s of 20 in 10s; open 1m"),
        ("balance", "hash:header:x-user"),
        ("slow_start", "30s"),
        ("eject", "5 in a row; out for 30s; at most 50%"),
        ("health", "GET /health every 10s, timeout 2s; out after 3, back after 2"),
        ("fallback", "503 with a body"),
        ("compression", "as the client accepts it"),
    ];
    assert_eq!(said(&config, "users"), expected.map(|(key, says)| (key, says.to_owned())));
    let expected = [
        ("timeout", "connect 1s, idle 1h"),
        ("balance", "round_robin"),
        ("health", "connect every 5s, timeout 2s; out after 3, back after 2"),
    ];
    assert_eq!(said(&config, "db"), expected.map(|(key, says)| (key, says.to_owned())));
}

#[test]
fn of_a_route_only_what_it_has_for_itself_is_shown() {
    let config = super::config(ALL);
    let route = &config.routes[0];
    let own = dump_route_policies(route);
    let keys: Vec<_> = own.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["timeout", "retry", "breaker", "rate_limit", "concurrency"]);
    assert_eq!(own["timeout"], serde_json::json!({ "per_try": "3s" }));
    assert_eq!((&own["breaker"], &own["retry"]["retries"]), (&false.into(), &1.into()));
    assert_eq!(own["retry"]["on"][3], 502);
    assert_eq!(dump_match(route), serde_json::json!({ "path": "/api/**" }));
}
