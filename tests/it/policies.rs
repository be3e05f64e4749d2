//! What people see of policies: the page of a service, `stitch explain`, metrics and the access log.

use serde_json::{Value, json};
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream, free_port, python, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

/// `hunter2`.
const DIGEST: &str = "sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";

/// A service with every policy, a route to it with some of its own, and one whose server is away.
fn everything(users: &Upstream, copy: &Upstream) -> String {
    format!(
        "proxy: {{ access_log: {{ format: json, only: all }} }}
services:
  users:
    urls: ['{users}', '{users}/']
    timeout: {{ first_byte: 20s, per_try: 20s, request: 30s }}
    health: {{ path: /health, every: 1s }}
    retry: {{ retries: 2, hedge: {{ after: 20s }} }}
    breaker: true
    eject: {{ consecutive: 100 }}
    headers: {{ request: {{ set: {{ x-a: hunter2 }} }} }}
    body: {{ response: {{ set: {{ $.seen: true }} }} }}
    fallback: {{ status: 503, body: {{ error: away }} }}
    rate_limit: [1000/s, {{ rate: 100/m, by: header:x-tenant }}]
    concurrency: {{ max: 64, queue: 32, wait: 250ms }}
    balance: hash:header:x-tenant
    slow_start: 10ms
    compression: true
    cors: {{ origins: 'https://app.example.com' }}
    mirror: copy
    auth: {{ api_key: {{ keys: {{ ann: '{DIGEST}' }} }} }}
  copy: {{ url: '{copy}' }}
  away:
    url: 'http://127.0.0.2:{away}'
    breaker: {{ consecutive: 1 }}
routes:
  - {{ match: /api/**, to: users, rewrite: /**, retry: 0, rate_limit: 2/h, concurrency: {{ max: 3 }} }}
",
        users = users.url(),
        copy = copy.url(),
        away = free_port(),
    )
}

fn json_of_twice_failing() -> Upstream {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Upstream::http(move |request| {
        let good = Answer::new(200, r#"{"a":1}"#).header("content-type", "application/json");
        if request.target == "/health" {
            return good;
        }
        match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Answer::new(503, "not yet"),
            _ => good,
        }
    })
}

fn get(stitch: &Stitch, host: &str, path: &str) -> Response {
    let headers = [("host", host), ("x-api-key", "hunter2"), ("x-tenant", "acme")];
    http::get(stitch.proxy(), path, &headers)
}

fn page(stitch: &Stitch, service: &str) -> Value {
    http::get(stitch.admin(), &format!("/api/services/{service}"), &[]).json()["data"].clone()
}

fn logged(stitch: &Stitch, path: &str) -> Vec<Value> {
    let lines = stitch.stderr();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["path"] == path && line["peer"] != "event").collect()
}

/// The keys that `defaults` may have: every policy.
fn policy_keys() -> Vec<String> {
    let schema: Value =
        serde_json::from_str(&Stitch::run(&["schema"]).output().success().stdout).unwrap();
    let keys = schema["$defs"]["Defaults"]["properties"].as_object().unwrap();
    keys.keys().cloned().collect()
}

#[test]
fn the_page_of_a_service_shows_every_policy_and_what_it_does() {
    let (users, copy) = (json_of_twice_failing(), Upstream::echo());
    let stitch = Stitch::up(&everything(&users, &copy));
    let answer = get(&stitch, "users", "/one");
    assert_eq!((answer.status, &answer.json()["seen"]), (200, &json!(true)));
    assert_eq!(get(&stitch, "-", "/api/two").status, 200);
    let copied = || page(&stitch, "users")["state"]["mirror"]["sent"] == 2;
    assert!(wait_until(PATIENCE, copied), "{}", page(&stitch, "users"));

    let users = page(&stitch, "users");
    let keys = policy_keys();
    for key in &keys {
        let shown = &users["policies"][key];
        assert!(!matches!(shown, Value::Null | Value::Bool(false)), "{key}: {users}");
    }
    assert!(keys.len() >= 16 && !users["policies"]["auth"].to_string().contains("f52fbd"));
    let state = &users["state"];
    assert_eq!((&state["id"], &state["breaker"]["state"]), (&json!("users"), &json!("closed")));
    assert_eq!(state["concurrency"]["limit"], 64);
    assert_eq!(state["retries"]["retried"], 1, "{state}");
    assert_eq!(state["mirror"]["to"], "copy");
    let limits = state["rate_limits"].as_array().unwrap();
    assert_eq!(limits.len(), 2);
    assert_eq!((&limits[0]["by"], &limits[0]["keys"]), (&json!("header:x-tenant"), &json!(1)));
    assert_eq!((&limits[1]["by"], &limits[1]["allowed"]), (&Value::Null, &json!(1)));
    for endpoint in users["upstreams"].as_array().unwrap() {
        assert_eq!(endpoint["state"], "ready", "{endpoint}");
        assert!(endpoint["health"].is_object(), "{endpoint}");
    }

    let routes = users["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 1, "{users}");
    let route = &routes[0];
    assert_eq!(
        (&route["plan"], &route["match"]),
        (&json!("users@api"), &json!({ "path": "/api/**" }))
    );
    let own: Vec<_> = route["policies"].as_object().unwrap().keys().collect();
    assert_eq!(own, ["retry", "rate_limit", "concurrency"]);
    assert_eq!(route["state"]["concurrency"]["limit"], 3);
    assert_eq!(route["state"]["rate_limits"][0]["allowed"], 1);
    assert_eq!(route["state"]["breaker"]["id"], "users", "the route has none of its own");
    assert_eq!(page(&stitch, "copy").get("routes"), None);
}

#[test]
fn the_access_log_names_the_policies_that_had_a_part() {
    let (users, copy) = (json_of_twice_failing(), Upstream::echo());
    let stitch = Stitch::up(&everything(&users, &copy));
    assert_eq!(get(&stitch, "users", "/one").status, 200);
    let statuses: Vec<_> = (0..3).map(|_| get(&stitch, "-", "/api/two").status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(get(&stitch, "away", "/three").status, 502);
    assert_eq!(get(&stitch, "away", "/three").status, 503);
    assert_eq!(http::get(stitch.proxy(), "/four", &[("host", "users")]).status, 401);
    let paths = [("/one", 1), ("/api/two", 3), ("/three", 2), ("/four", 1)];
    for (path, lines) in paths {
        let there = wait_until(PATIENCE, || logged(&stitch, path).len() == lines);
        assert!(there, "{path}: {}", stitch.stderr());
    }
    let one = &logged(&stitch, "/one")[0];
    assert_eq!(
        (&one["attempts"], &one["user"], &one["mirror"]),
        (&json!(2), &json!("ann"), &json!("copy"))
    );
    for unset in ["policy", "breaker", "rate_limit", "reason"] {
        assert_eq!(one.get(unset), None, "{one}");
    }
    let two = logged(&stitch, "/api/two");
    assert!(two.iter().all(|line| line["policy"] == "users@api"), "{two:?}");
    assert_eq!(
        (two[1].get("rate_limit"), &two[2]["rate_limit"]),
        (None, &json!("route /api/**#1"))
    );
    assert_eq!((&two[2]["user"], two[2].get("mirror")), (&json!("ann"), None));
    let three = logged(&stitch, "/three");
    assert_eq!((three[0].get("breaker"), &three[1]["breaker"]), (None, &json!("away")));
    assert_eq!(three[1].get("attempts"), None, "nothing was asked");
    assert_eq!(logged(&stitch, "/four")[0].get("user"), None);
    assert!(!stitch.stderr().contains("hunter2"));
}

#[test]
fn every_policy_has_its_metrics_and_counts_once() {
    let (users, copy) = (json_of_twice_failing(), Upstream::echo());
    let stitch = Stitch::up(&everything(&users, &copy));
    assert_eq!(get(&stitch, "users", "/one").status, 200);
    let statuses: Vec<_> = (0..3).map(|_| get(&stitch, "-", "/api/two").status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    for status in [502, 503] {
        assert_eq!(get(&stitch, "away", "/three").status, status);
    }
    let scrape = || http::get(stitch.admin(), "/metrics", &[]).text();
    let copied = || scrape().contains("to=\"copy\",outcome=\"sent\"} 3\n");
    assert!(wait_until(PATIENCE, copied), "{}", scrape());
    let text = scrape();
    let documented = include_str!("../../docs/operations.md");
    let families: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (family, kind) in &families {
        assert!(
            documented.contains(&format!("`{family}`")),
            "{family} is not in docs/operations.md"
        );
        assert_eq!(*kind == "counter", family.ends_with("_total"), "{family} is a {kind}");
    }
    for family in [
        "stitch_auth_total",
        "stitch_body_edits_total",
        "stitch_circuit_breaker_calls_total",
        "stitch_circuit_breaker_state",
        "stitch_circuit_breaker_transitions_total",
        "stitch_concurrency_in_flight",
        "stitch_concurrency_limit",
        "stitch_concurrency_queued",
        "stitch_concurrency_rejected_total",
        "stitch_endpoint_healthy",
        "stitch_endpoints",
        "stitch_health_checks_total",
        "stitch_mirror_requests_total",
        "stitch_rate_limit_keys",
        "stitch_rate_limit_requests_total",
        "stitch_retries_total",
    ] {
        assert!(families.iter().any(|(name, _)| *name == family), "no {family} in {text}");
    }
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse::<f64>().ok())
    };
    for (series, expected) in [
        ("stitch_concurrency_limit{service=\"users\",policy=\"users\"}", 64.0),
        ("stitch_concurrency_limit{service=\"users\",policy=\"users@api\"}", 3.0),
        ("stitch_retries_total{service=\"users\",policy=\"users\",outcome=\"retried\"}", 1.0),
        ("stitch_rate_limit_requests_total{limit=\"route /api/**#1\",outcome=\"refused\"}", 1.0),
        ("stitch_auth_total{service=\"users\",method=\"api_key\",outcome=\"allowed\"}", 4.0),
    ] {
        assert_eq!(value(series), Some(expected), "{series} in {text}");
    }
    // Neither a client's word nor a path ever becomes a label.
    assert!(
        !text.contains("acme") && !text.contains("/one") && !text.contains("\"ann\""),
        "{text}"
    );
}

/// Prometheus's own client reads what is scraped.
const SCRAPE: &str = r#"
import json, os, urllib.request
from prometheus_client.parser import text_string_to_metric_families
answer = urllib.request.urlopen(os.environ["URL"])
families = list(text_string_to_metric_families(answer.read().decode()))
samples = [(s.name, tuple(sorted(s.labels.items()))) for f in families for s in f.samples]
print(json.dumps({
    "type": answer.headers["content-type"],
    "families": [[f.name, f.type, f.documentation, len(f.samples)] for f in families],
    "twice": sorted({s[0] for s in samples if samples.count(s) > 1}),
}))
"#;

#[test]
fn a_client_of_prometheus_reads_every_metric() {
    let (users, copy) = (json_of_twice_failing(), Upstream::echo());
    let stitch = Stitch::up(&everything(&users, &copy));
    for path in ["/one", "/api/two"] {
        assert_eq!(get(&stitch, "users", path).status, 200);
    }
    assert_eq!(get(&stitch, "away", "/three").status, 502);
    let url = format!("http://{}/metrics", stitch.admin());
    let output = python(SCRAPE).env("URL", &url).output().success();
    let read: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(read["type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(read["twice"], json!([]));
    let families = read["families"].as_array().unwrap();
    let mut names: Vec<_> = families.iter().map(|family| family[0].as_str().unwrap()).collect();
    for family in families {
        let known = ["counter", "gauge", "histogram"].contains(&family[1].as_str().unwrap());
        assert!(known && family[3].as_u64() > Some(0), "{family}");
        assert!(family[2].as_str().unwrap().ends_with('.'), "no words for {family}");
    }
    for (name, kind) in [
        ("stitch_requests", "counter"),
        ("stitch_circuit_breaker_state", "gauge"),
        ("stitch_request_duration_seconds", "histogram"),
    ] {
        let is = |family: &&Value| family[0] == name && family[1] == kind;
        assert_eq!(families.iter().filter(is).count(), 1, "{name}: {families:?}");
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == all && all >= 19, "{names:?}");
}

#[test]
fn what_a_route_shares_with_its_service_is_counted_once() {
    let upstream = Upstream::http(|_| Answer::new(503, ""));
    let stitch = Stitch::up(&format!(
        "services:\n  users: {{ url: '{}', retry: 1, concurrency: {{ max: 9 }} }}\n\
         routes:\n  - {{ match: /api/**, to: users, rewrite: /**, rate_limit: 100/s }}\n",
        upstream.url()
    ));
    assert_eq!(get(&stitch, "-", "/api/a").status, 503);
    let text = http::get(stitch.admin(), "/metrics", &[]).text();
    for (family, samples) in [("stitch_retries_total{", 4), ("stitch_concurrency_limit{", 1)] {
        let found: Vec<_> = text.lines().filter(|line| line.starts_with(family)).collect();
        assert_eq!(found.len(), samples, "{found:?}");
    }
}

#[test]
fn explain_tells_every_policy_that_a_request_would_meet() {
    let (users, copy) = (json_of_twice_failing(), Upstream::echo());
    let builder = Stitch::builder().yaml(&everything(&users, &copy));
    let file = builder.folder().join("stitch.yaml").display().to_string();
    let explain = |args: &[&str]| {
        let args = [&["explain", &*file], args].concat();
        Stitch::run(&args).output().success().stdout
    };
    let text = explain(&["GET", "http://users/one"]);
    for key in policy_keys() {
        let line = text.lines().find(|line| line.split(' ').next() == Some(&*key));
        assert!(line.is_some_and(|line| line.len() > key.len() + 1), "{key} is not in {text}");
    }
    for line in [
        "retry      2 on connect, reset, timeout, 502, 503, 504, UNAVAILABLE; 25ms..250ms; budget 20%; \
         hedge after 20s, at most 1\n",
        "breaker    5 in a row or 50% of 20 in 10s; open 1m\n",
        "balance    hash:header:x-tenant; without it, like least_request\n",
        "rate_limit 1000/s; burst 1000\n",
        "rate_limit 100/m by header:x-tenant; burst 100; without it, one of all such requests\n",
        "timeout    connect 2s, first_byte 20s, per_try 20s, request 30s, idle 5m\n",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("f52fbd"), "{text}");

    let routed = explain(&["GET", "/api/two", "-H", "x-tenant: acme"]);
    for line in
        ["rate_limit 2/h; burst 2\n", "concurrency max 3\n", "balance    hash:header:x-tenant\n"]
    {
        assert!(routed.contains(line), "no {line:?} in {routed}");
    }
    assert!(!routed.contains("1000/s"), "{routed}");

    let data = explain(&["GET", "/api/two", "--format", "json"]);
    let data: Value = serde_json::from_str(&data).unwrap();
    let service = &data["services"][0];
    assert_eq!(service["policies"]["concurrency"]["max"], 3);
    assert_eq!(service["policies"]["breaker"]["consecutive"], 5);
    assert_eq!(service["in_words"][0]["key"], "timeout");
    assert!(!data.to_string().contains("f52fbd"), "{data}");

    let origin = "origin: https://app.example.com";
    let asked = "access-control-request-method: PUT";
    let preflight = explain(&["OPTIONS", "http://users/one", "-H", origin, "-H", asked]);
    assert!(preflight.contains("preflight  about PUT; answered by cors\n"), "{preflight}");
}

#[test]
fn explain_says_that_an_overlay_changes_the_file_and_knows_services_of_bytes() {
    let yaml = "services:\n  users: { url: 'http://localhost:1' }\n  \
                db: { type: tcp, urls: ['tcp://localhost:2', 'tcp://localhost:3'], port: 15432, \
                balance: round_robin, health: { every: 5s } }\n";
    let builder = Stitch::builder()
        .yaml(yaml)
        .file("stitch.overlay.yaml", "services: { users: { retry: 4 } }\n");
    let file = builder.folder().join("stitch.yaml").display().to_string();
    let explain =
        |url: &str| Stitch::run(&["explain", &file, "GET", url]).output().success().stdout;
    let http = explain("http://users/");
    for line in ["file       with changes from stitch.overlay.yaml\n", "retry      4 on connect"] {
        assert!(http.contains(line), "no {line:?} in {http}");
    }
    let bytes = explain("http://localhost:15432/");
    for line in [
        "timeout    connect 2s, idle 5m\n",
        "balance    round_robin\n",
        "health     connect every 5s, timeout 2s; out after 3, back after 2\n",
    ] {
        assert!(bytes.contains(line), "no {line:?} in {bytes}");
    }
}
