//! Real and mock in one service: the table of modes, what `mock_on` widens, switching at run time.

use serde_json::json;
use stitch_kit::http::{self, Response};
use stitch_kit::{Stitch, Upstream, free_port};

/// A service with a real side and two mocked endpoints.
fn both(url: &str, more: &str) -> Stitch {
    Stitch::up(&format!(
        "services:\n  users:\n    url: {url}\n    endpoints:\n      \
         - {{ path: /mocked, method: [GET, POST], response: 'mocked' }}\n      \
         - {{ path: /echo, method: POST, response: {{ body: {{ got: '{{{{ request.body }}}}' }} }} }}\n    \
         {more}\n"
    ))
}

fn get(stitch: &Stitch, target: &str) -> Response {
    http::get(stitch.proxy(), target, &[("host", "users")])
}

/// Status and who answered.
fn who(answer: &Response) -> (u16, Option<&str>) {
    (answer.status, answer.header("x-stitch-source"))
}

fn set_mode(stitch: &Stitch, service: &str, mode: &str) -> Response {
    let body = json!({ "mode": mode }).to_string();
    let headers = [("content-type", "application/json")];
    http::send(
        stitch.admin(),
        "PUT",
        &format!("/api/services/{service}/mode"),
        &headers,
        body.as_bytes(),
    )
}

/// An address where nobody listens.
fn nowhere() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

#[test]
fn mock_then_real_is_the_default_with_both() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "");
    let answer = get(&stitch, "/mocked");
    assert_eq!((who(&answer), answer.text().as_str()), ((200, Some("mock")), "mocked"));
    assert_eq!(answer.header("x-stitch-endpoint"), Some("users GET|POST /mocked"));
    let answer = get(&stitch, "/else");
    assert_eq!(who(&answer), (200, Some("real")));
    assert_eq!(answer.header("x-stitch-endpoint"), None);
    // A path that is mocked for other methods only is real's for this one.
    let answer = http::send(stitch.proxy(), "DELETE", "/mocked", &[("host", "users")], b"");
    assert_eq!(who(&answer), (200, Some("real")));
    // The body is real's too.
    let answer = http::send(stitch.proxy(), "POST", "/else", &[("host", "users")], b"abc");
    assert_eq!(answer.json()["body"], "abc");
}

#[test]
fn mock_then_real_says_when_real_is_gone() {
    let stitch = both(&nowhere(), "");
    assert_eq!(who(&get(&stitch, "/mocked")), (200, Some("mock")));
    let answer = get(&stitch, "/else");
    assert_eq!(answer.header("x-stitch-reason"), Some("connect_refused"));
}

#[test]
fn real_is_the_default_with_only_a_url() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}", upstream.url()));
    assert_eq!(who(&get(&stitch, "/a?status=501")), (501, Some("real")));
}

#[test]
fn real_ignores_endpoints_when_told_to() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "mode: real");
    assert_eq!(who(&get(&stitch, "/mocked")), (200, Some("real")));
    assert_eq!(who(&get(&stitch, "/mocked?status=501")), (501, Some("real")));
    drop(upstream);
    assert_eq!(get(&stitch, "/mocked").status, 502);
}

#[test]
fn mock_is_the_default_with_only_endpoints_and_misses_are_explained() {
    let stitch = Stitch::up("services: { users: { endpoints: [{ path: '/users/{id}' }] } }");
    let answer = get(&stitch, "/users/7");
    assert_eq!(who(&answer), (200, Some("mock")));
    assert_eq!(answer.header("x-stitch-endpoint"), Some("users GET /users/{id}"));
    let answer = get(&stitch, "/user/7");
    assert_eq!(who(&answer), (404, None));
    assert_eq!(answer.header("x-stitch-reason"), Some("no_endpoint"));
    let problem = answer.json();
    assert!(problem["nearest"].to_string().contains("/users/{id}"), "{problem}");
}

#[test]
fn mock_leaves_real_alone() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "mode: mock");
    assert_eq!(who(&get(&stitch, "/mocked")), (200, Some("mock")));
    let answer = get(&stitch, "/else");
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (404, Some("no_endpoint")));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn real_then_mock_prefers_real_unless_it_says_501() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "mode: real-then-mock");
    assert_eq!(who(&get(&stitch, "/mocked")), (200, Some("real")));
    let answer = get(&stitch, "/mocked?status=501");
    assert_eq!((who(&answer), answer.text().as_str()), ((200, Some("mock")), "mocked"));
    assert_eq!(who(&get(&stitch, "/else?status=501")), (501, Some("real")));
    for status in [404, 500, 503] {
        assert_eq!(who(&get(&stitch, &format!("/mocked?status={status}"))), (status, Some("real")));
    }
}

#[test]
fn mock_on_says_which_answers_the_mock_replaces() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "mode: real-then-mock\n    mock_on: [404, 503]");
    for status in [404, 503] {
        let answer = get(&stitch, &format!("/mocked?status={status}"));
        assert_eq!(who(&answer), (200, Some("mock")), "{status}");
        let answer = get(&stitch, &format!("/else?status={status}"));
        assert_eq!(who(&answer), (status, Some("real")), "{status}");
    }
    // What is listed takes the place of 501.
    assert_eq!(who(&get(&stitch, "/mocked?status=501")), (501, Some("real")));
}

#[test]
fn real_then_mock_has_the_mock_when_real_cannot_be_reached() {
    for url in [nowhere(), "http://no-such-host.invalid:80".to_owned()] {
        let stitch = both(&url, "mode: real-then-mock");
        assert_eq!(who(&get(&stitch, "/mocked")), (200, Some("mock")), "{url}");
        let answer = get(&stitch, "/else");
        assert_eq!(answer.status, 502, "{url}");
        assert!(answer.header("x-stitch-reason").unwrap().starts_with("connect_"), "{url}");
        assert_eq!(answer.json()["service"], "users");
    }
}

#[test]
fn what_real_may_have_begun_is_not_repeated_by_the_mock() {
    // It accepts, and closes without an answer.
    let upstream = Upstream::scripted(|mut stream, _| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
    });
    let stitch = both(&upstream.url(), "mode: real-then-mock");
    let answer = http::send(stitch.proxy(), "POST", "/mocked", &[("host", "users")], b"{}");
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (502, Some("upstream_reset")));
}

#[test]
fn a_body_of_64_kib_is_shown_to_the_mock_again_and_a_larger_one_is_not() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "mode: real-then-mock");
    let post = |size: usize| {
        let body = json!("x".repeat(size - 2)).to_string();
        let headers = [("host", "users"), ("content-type", "application/json")];
        http::send(stitch.proxy(), "POST", "/echo?status=501", &headers, body.as_bytes())
    };
    let answer = post(64 << 10);
    assert_eq!(who(&answer), (200, Some("mock")));
    assert_eq!(answer.json()["got"].as_str().unwrap().len(), (64 << 10) - 2);
    assert_eq!(who(&post((64 << 10) + 1)), (501, Some("real")));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_large_body_meets_the_mock_when_real_never_saw_it() {
    let stitch = both(&nowhere(), "mode: real-then-mock");
    let body = vec![b'x'; 1 << 20];
    let answer = http::send(stitch.proxy(), "POST", "/mocked", &[("host", "users")], &body);
    assert_eq!((who(&answer), answer.text().as_str()), ((200, Some("mock")), "mocked"));
}

#[test]
fn a_mode_is_switched_at_run_time() {
    let upstream = Upstream::echo();
    let stitch = both(&upstream.url(), "");
    for (mode, source) in
        [("real", "real"), ("mock", "mock"), ("real-then-mock", "real"), ("mock-then-real", "mock")]
    {
        let answer = set_mode(&stitch, "users", mode);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["data"]["mode"], mode);
        assert_eq!(who(&get(&stitch, "/mocked")), (200, Some(source)), "{mode}");
    }
}

#[test]
fn a_mode_that_nobody_could_answer_in_is_refused() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}' }}, shop: {{ endpoints: [{{ path: / }}] }} }}",
        upstream.url()
    ));
    for (service, mode) in [
        ("users", "mock"),
        ("users", "mock-then-real"),
        ("users", "real-then-mock"),
        ("shop", "real"),
        ("shop", "real-then-mock"),
        ("shop", "unheard-of"),
    ] {
        let answer = set_mode(&stitch, service, mode);
        assert!(matches!(answer.status, 400 | 409 | 422), "{service} {mode}: {}", answer.status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(set_mode(&stitch, "nobody", "real").status, 404);
    // Nothing has changed.
    assert_eq!(who(&get(&stitch, "/")), (200, Some("real")));
    assert_eq!(who(&http::get(stitch.proxy(), "/", &[("host", "shop")])), (200, Some("mock")));
}

#[test]
fn modes_that_the_file_cannot_mean_are_errors_of_the_file() {
    let output = Stitch::builder()
        .yaml("services: { shop: { mode: real, endpoints: [{ path: / }] } }")
        .command("check")
        .output();
    assert_eq!(output.code(), 1);
    assert!((output.stdout + &output.stderr).contains("mode"), "the key is not named");
}
