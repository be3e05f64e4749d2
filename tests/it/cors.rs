//! CORS as a browser would meet it: preflights that no service sees, and answers of every origin.

use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream, free_port};

const PAGE: &str = "http://localhost:3000";
const ALLOW: &str = "access-control-allow-origin";

/// A service that allows everybody by itself, a mock, and one that is not there.
fn up(upstream: &Upstream) -> Stitch {
    let (url, port) = (upstream.url(), free_port());
    Stitch::up(&format!(
        "defaults: {{ cors: {{ origins: ['{PAGE}', 'https://*.example.com'], credentials: true }} }}\n\
         services:\n\
         \x20 users: {{ url: '{url}' }}\n\
         \x20 mock: {{ endpoints: [{{ path: /here, response: hello }}] }}\n\
         \x20 dead: {{ url: 'http://127.0.0.1:{port}' }}\n\
         \x20 open: {{ url: '{url}', cors: {{ origins: '*' }} }}\n\
         \x20 own: {{ url: '{url}', cors: false }}\n\
         routes:\n\
         \x20 - {{ match: {{ path: /api/**, method: [PUT] }}, to: own, \
         cors: {{ origins: 'http://a.test', methods: [PUT], headers: [x-a], max_age: 1m }} }}\n"
    ))
}

fn permissive() -> Upstream {
    Upstream::http(|_| {
        Answer::new(200, "hello")
            .header("access-control-allow-origin", "*")
            .header("access-control-expose-headers", "x-theirs")
            .header("vary", "accept-encoding")
    })
}

fn ask(stitch: &Stitch, host: &str, origin: &str) -> Response {
    http::get(stitch.proxy(), "/here", &[("host", host), ("origin", origin)])
}

fn preflight(stitch: &Stitch, host: &str, target: &str, origin: &str, method: &str) -> Response {
    let headers = [
        ("host", host),
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "content-type,x-grpc-web,x-user-agent,grpc-timeout"),
    ];
    http::send(stitch.proxy(), "OPTIONS", target, &headers, b"")
}

#[test]
fn a_preflight_is_answered_without_the_service() {
    let upstream = permissive();
    let stitch = up(&upstream);
    for host in ["users", "mock", "dead"] {
        let answer = preflight(&stitch, host, "/here", PAGE, "POST");
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{host}: {answer:?}");
        for (name, value) in [
            (ALLOW, PAGE),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "content-type,x-grpc-web,x-user-agent,grpc-timeout"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{host}: {name}");
        }
        assert!(answer.headers.lists("vary", "origin"), "{host}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_preflight_of_another_origin_says_why_and_nothing_else() {
    let upstream = permissive();
    let stitch = up(&upstream);
    for origin in ["http://localhost:3001", "https://evil-example.com", "null"] {
        let answer = preflight(&stitch, "users", "/here", origin, "GET");
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["origin"], origin);
        let cors = answer.headers.0.iter().filter(|(name, _)| name.starts_with("access-control"));
        assert_eq!(cors.count(), 0, "{answer:?}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn other_options_reach_the_service() {
    let upstream = permissive();
    let stitch = up(&upstream);
    let headers = [("host", "users"), ("origin", PAGE)];
    assert_eq!(http::send(stitch.proxy(), "OPTIONS", "/", &headers, b"").status, 200);
    assert_eq!(upstream.requests()[0].method, "OPTIONS");
}

#[test]
fn what_the_service_says_is_replaced() {
    let upstream = permissive();
    let stitch = up(&upstream);
    for origin in [PAGE, "https://a.b.example.com"] {
        let answer = ask(&stitch, "users", origin);
        assert_eq!(answer.headers.all(ALLOW), [origin]);
        let exposed = answer.headers.all("access-control-expose-headers");
        assert_eq!(exposed, ["grpc-status, grpc-message, x-request-id"]);
        assert!(answer.headers.lists("vary", "origin"));
        assert!(answer.headers.lists("vary", "accept-encoding"), "theirs stays");
    }
    for origin in ["https://evil-example.com", "https://example.com", "null"] {
        let answer = ask(&stitch, "users", origin);
        assert_eq!((answer.status, answer.header(ALLOW)), (200, None), "{origin}");
        assert!(answer.headers.lists("vary", "origin"), "{origin}");
    }
    assert_eq!(ask(&stitch, "own", PAGE).header(ALLOW), Some("*"), "turned off: the service's own");
    let open = ask(&stitch, "open", "null");
    assert_eq!(open.header(ALLOW), Some("*"));
    assert_eq!(open.header("access-control-allow-credentials"), None);
    let nobody = http::get(stitch.proxy(), "/here", &[("host", "open")]);
    assert_eq!(nobody.header(ALLOW), Some("*"), "a cache may give it to a page");
}

#[test]
fn a_page_can_read_what_mocks_and_the_proxy_itself_answer() {
    let upstream = permissive();
    let stitch = up(&upstream);
    let missed = [("host", "mock"), ("origin", PAGE)];
    for (status, answer) in [
        (200, ask(&stitch, "mock", PAGE)),
        (404, http::get(stitch.proxy(), "/nowhere", &missed)),
        (502, ask(&stitch, "dead", PAGE)),
    ] {
        assert_eq!((answer.status, answer.header(ALLOW)), (status, Some(PAGE)), "{answer:?}");
    }
    assert_eq!(ask(&stitch, "dead", "http://b.test").header(ALLOW), None);
}

#[test]
fn a_route_has_its_own_and_a_preflight_finds_it_by_the_method_it_is_about() {
    let upstream = permissive();
    let stitch = up(&upstream);
    let host = stitch.proxy().to_string();
    let answer = preflight(&stitch, &host, "/api/a", "http://a.test", "PUT");
    assert_eq!(answer.status, 204, "{answer:?}");
    for (name, value) in [
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "x-a"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(preflight(&stitch, &host, "/api/a", PAGE, "PUT").status, 403);
    let headers = [("origin", "http://a.test")];
    let answer = http::send(stitch.proxy(), "PUT", "/api/a", &headers, b"x");
    assert_eq!(answer.headers.all(ALLOW), ["http://a.test"]);
    assert_eq!(upstream.requests().len(), 1);
}
