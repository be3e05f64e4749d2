//! The two daemons apart: `stitch mockd` and `stitch proxy --mockd` answer as `stitch up` does.

use crate::events::NatsClient;
use std::net::SocketAddr;
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{NatsServer, Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

fn shop(upstream: &Upstream) -> String {
    format!(
        "
seed: 7
vars: {{ currency: EUR }}
services:
  users:
    url: '{url}'
    endpoints:
      - path: /users/{{id}}
        response: {{ status: 203, headers: {{ x-made: here }}, body: {{ id: \"{{{{ request.path.id }}}}\" }} }}
  orders:
    url: '{url}'
    mode: real-then-mock
    endpoints: [{{ path: /orders, response: never }}]
  gone:
    url: http://127.0.0.1:1
    mode: real-then-mock
    endpoints: [{{ path: /here, response: standing in }}]
  payments:
    port: 0
    endpoints:
      - path: /charges
        method: POST
        response: {{ amount: \"{{{{ request.body.amount }}}}\", currency: \"{{{{ vars.currency }}}}\" }}
      - {{ path: /flaky, failure_rate: 50%, response: fine }}
      - {{ path: /gone, response: 410 }}
routes:
  - {{ match: /api/**, to: payments, rewrite: /** }}
",
        url = upstream.url()
    )
}

struct Apart {
    proxy: Stitch,
    mockd: Stitch,
}

fn apart(yaml: &str) -> Apart {
    let mockd = Stitch::builder().yaml(yaml).command("mockd").args(["--no-ports"]).start();
    let url = format!("http://{}", mockd.address("mockd"));
    let proxy = Stitch::builder().yaml(yaml).command("proxy").args(["--mockd", &url]).start();
    Apart { proxy, mockd }
}

/// What a caller can tell apart, without what is new in every answer.
fn told(answer: &Response) -> (u16, String, Vec<(String, String)>) {
    let changing = ["date", "x-request-id"];
    let mut headers = answer.headers.0.clone();
    headers.retain(|(name, _)| !changing.contains(&name.as_str()));
    headers.sort();
    (answer.status, answer.text(), headers)
}

#[test]
fn answers_sources_and_reasons_are_those_of_up() {
    let upstream =
        Upstream::http(|request| stitch_kit::Answer::new(200, format!("real {}", request.target)));
    let yaml = shop(&upstream);
    let (together, apart) = (Stitch::up(&yaml), apart(&yaml));
    let cases: [(&str, &str, &str, &str); 14] = [
        ("GET", "users", "/users/5", ""),
        ("HEAD", "users", "/users/5", ""),
        ("GET", "users", "/other", ""),
        ("POST", "users", "/users/5", "a"),
        ("GET", "orders", "/orders", ""),
        ("GET", "gone", "/here", ""),
        ("GET", "gone", "/nothing", ""),
        ("POST", "payments", "/charges", r#"{"amount":3}"#),
        ("GET", "payments", "/charges", ""),
        ("GET", "payments", "/chargse", ""),
        ("GET", "payments", "/gone", ""),
        ("POST", "localhost", "/api/charges", r#"{"amount":[1,null]}"#),
        ("GET", "localhost", "/gone", ""),
        ("GET", "localhost", "/nobody", ""),
    ];
    for (method, host, path, body) in cases {
        let headers = [("host", host), ("content-type", "application/json")];
        let ask = |address: SocketAddr| {
            told(&http::send(address, method, path, &headers, body.as_bytes()))
        };
        let (one, other) = (ask(together.proxy()), ask(apart.proxy.proxy()));
        assert_eq!(one, other, "{method} {host} {path}");
        let marks = ["x-stitch-source", "x-stitch-reason"];
        assert!(one.2.iter().any(|(name, _)| marks.contains(&name.as_str())), "{one:?}");
    }
    let port = |stitch: &Stitch| told(&http::get(stitch.service("payments"), "/gone", &[]));
    assert_eq!(port(&together), port(&apart.proxy));
}

#[test]
fn the_same_seed_fails_the_same_calls() {
    let upstream = Upstream::echo();
    let yaml = shop(&upstream);
    let (together, apart) = (Stitch::up(&yaml), apart(&yaml));
    let failures = |stitch: &Stitch| -> Vec<u16> {
        let mut connection = http::Connection::open(stitch.proxy());
        (0..32)
            .map(|_| connection.request("GET", "/flaky", &[("host", "payments")], b"").status)
            .collect()
    };
    let one = failures(&together);
    assert_eq!(one, failures(&apart.proxy));
    assert!(one.contains(&500) && one.contains(&200), "{one:?}");
}

#[test]
fn the_daemon_alone_answers_by_host_by_port_and_by_path() {
    let yaml = "services:\n  payments: { port: 0, endpoints: [{ path: /who, response: payments }] }\n  \
                auth: { endpoints: [{ path: /who, response: auth }, { path: /login }] }\n";
    let mockd = Stitch::builder().yaml(yaml).command("mockd").start();
    let address = mockd.address("mockd");
    assert_eq!(http::get(address, "/who", &[("host", "auth")]).text(), "auth");
    assert_eq!(http::get(address, "/who", &[("host", "payments")]).text(), "payments");
    assert_eq!(http::get(address, "/who", &[("x-stitch-service", "auth")]).text(), "auth");
    assert_eq!(http::get(mockd.service("payments"), "/who", &[]).text(), "payments");
    assert_eq!(http::get(address, "/login", &[]).status, 200);
    let missed = http::get(address, "/logni", &[]);
    assert_eq!(missed.status, 404);
    assert!(missed.text().contains("/login"), "{}", missed.text());
}

#[test]
fn a_daemon_that_is_away_is_told_and_found_again() {
    let yaml = "services: { payments: { endpoints: [{ path: /a, response: fine }] } }";
    let Apart { proxy, mockd } = apart(yaml);
    let ask = || http::get(proxy.proxy(), "/a", &[("host", "payments")]);
    assert_eq!(ask().text(), "fine");
    let address = mockd.address("mockd");
    drop(mockd);
    let answer = ask();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains(&address.to_string()), "{}", answer.text());
    let _mockd = Stitch::builder()
        .yaml(yaml)
        .command("mockd")
        .args(["--no-ports", "--listen", &address.to_string()])
        .start();
    assert!(wait_until(PATIENCE, || ask().status == 200), "{}", ask().text());
}

#[test]
fn both_follow_their_file() {
    let yaml = "services: { payments: { endpoints: [{ path: /a }] } }";
    let more = "services: { payments: { endpoints: [{ path: /a }, { path: /b }] } }";
    let Apart { proxy, mockd } = apart(yaml);
    let ask = || http::get(proxy.proxy(), "/b", &[("host", "payments")]).status;
    assert_eq!(ask(), 404);
    mockd.rewrite(more);
    proxy.rewrite(more);
    assert!(wait_until(PATIENCE, || ask() == 200), "{}{}", mockd.stderr(), proxy.stderr());
}

#[test]
fn a_daemon_whose_new_port_is_taken_goes_on_with_the_old_file() {
    let yaml = "services: { payments: { endpoints: [{ path: /a }] } }";
    let mockd = Stitch::builder().yaml(yaml).command("mockd").start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    mockd.rewrite(&format!(
        "services: {{ payments: {{ port: {port}, endpoints: [{{ path: /b }}] }} }}"
    ));
    let failed = mockd.wait_for_stdout(|line| line["event"] == "reload_failed");
    assert!(failed.to_string().contains(&port.to_string()), "{failed}");
    let address = mockd.address("mockd");
    assert_eq!(http::get(address, "/a", &[]).status, 200);
    assert_eq!(http::get(address, "/b", &[]).status, 404);
    mockd.rewrite("services: { payments: { endpoints: [{ path: /b }] } }");
    assert!(wait_until(PATIENCE, || http::get(address, "/b", &[]).status == 200));
}

#[test]
fn events_flow_without_the_proxy() {
    let nats = NatsServer::start();
    let mut outside = NatsClient::connect(nats.addr());
    outside.subscribe("notified");
    let yaml = format!(
        "events: '{}'\nservices:\n  payments:\n    endpoints:\n      \
         - {{ path: /charge, nats_publish: {{ subject: paid, data: {{ id: 7 }} }} }}\n  \
         notifier:\n    endpoints: [{{ path: /notify, method: POST, nats_publish: \
         {{ subject: notified, data: {{ id: \"{{{{ request.body.id }}}}\" }} }} }}]\n    \
         nats_subscribe: {{ subject: paid, action: POST /notify }}\n",
        nats.url()
    );
    let Apart { proxy, mockd } = apart(&yaml);
    let answer = http::get(proxy.proxy(), "/charge", &[("host", "payments")]);
    assert_eq!(answer.status, 200, "{}", mockd.stderr());
    let (subject, _, data) = outside.next();
    assert_eq!((subject.as_str(), &data["id"]), ("notified", &7.into()), "{}", mockd.stderr());
}
