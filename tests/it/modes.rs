//! Real and mock in one service: what each mode makes of a request, and modes that change while
//! everything runs.

use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream};

/// Says `real`, and 501, 404 or 500 where the path asks for it.
fn real() -> Upstream {
    Upstream::http(|request| match request.path() {
        "/declared/501" => Answer::new(501, "not built yet"),
        "/declared/404" => Answer::new(404, "not here"),
        "/declared/500" => Answer::new(500, "broken"),
        _ => Answer::new(200, format!("real {}", request.body.len())),
    })
}

fn yaml(url: &str, more: &str) -> String {
    format!(
        "services:\n  users:\n    url: {url}\n{more}    endpoints:\n      \
         - {{ path: /declared/**, method: [GET, POST], response: mock }}\n      \
         - {{ path: /echo, method: POST, response: {{ body: {{ got: '{{{{ request.body.x }}}}' }} }} }}\n"
    )
}

fn ask(stitch: &Stitch, path: &str) -> Response {
    http::get(stitch.proxy(), path, &[("host", "users")])
}

fn post(stitch: &Stitch, path: &str, body: &[u8]) -> Response {
    let length = body.len().to_string();
    let headers =
        [("host", "users"), ("content-type", "application/json"), ("content-length", &*length)];
    http::send(stitch.proxy(), "POST", path, &headers, body)
}

fn said(answer: &Response) -> (u16, String, Option<&str>) {
    (answer.status, answer.text(), answer.header("x-stitch-source"))
}

fn mocked() -> (u16, String, Option<&'static str>) {
    (200, "mock".to_owned(), Some("mock"))
}

fn real_says(text: &str) -> (u16, String, Option<&'static str>) {
    (200, text.to_owned(), Some("real"))
}

#[test]
fn mock_then_real_is_the_default_of_services_with_both() {
    let upstream = real();
    let stitch = Stitch::up(&yaml(&upstream.url(), ""));
    let answer = ask(&stitch, "/declared/x");
    assert_eq!(said(&answer), mocked());
    assert_eq!(answer.header("x-stitch-endpoint"), Some("users GET|POST /declared/**"));
    assert_eq!(said(&ask(&stitch, "/other")), real_says("real 0"));
    assert_eq!(said(&post(&stitch, "/other", b"12345")), real_says("real 5"));
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn real_never_asks_the_mock_and_mock_never_asks_real() {
    let upstream = real();
    let stitch = Stitch::up(&yaml(&upstream.url(), "    mode: real\n"));
    assert_eq!(said(&ask(&stitch, "/declared/x")), real_says("real 0"));
    let stitch = Stitch::up(&yaml(&upstream.url(), "    mode: mock\n"));
    assert_eq!(said(&ask(&stitch, "/declared/x")), mocked());
    let miss = ask(&stitch, "/other");
    assert_eq!((miss.status, miss.header("x-stitch-reason")), (404, Some("no_endpoint")));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn real_then_mock_asks_the_mock_when_real_says_501() {
    let upstream = real();
    let stitch = Stitch::up(&yaml(&upstream.url(), "    mode: real-then-mock\n"));
    assert_eq!(said(&ask(&stitch, "/declared/x")), real_says("real 0"));
    assert_eq!(said(&ask(&stitch, "/declared/501")), mocked());
    assert_eq!(ask(&stitch, "/declared/404").status, 404);
    assert_eq!(ask(&stitch, "/declared/500").status, 500);
}

#[test]
fn mock_on_widens_what_lets_the_mock_answer() {
    let upstream = real();
    let more = "    mode: real-then-mock\n    mock_on: [404, 501]\n";
    let stitch = Stitch::up(&yaml(&upstream.url(), more));
    assert_eq!(said(&ask(&stitch, "/declared/404")), mocked());
    assert_eq!(said(&ask(&stitch, "/declared/501")), mocked());
    assert_eq!(ask(&stitch, "/declared/500").text(), "broken");
}

#[test]
fn real_then_mock_asks_the_mock_when_real_cannot_be_reached() {
    let nobody = stitch_kit::free_port();
    let url = format!("http://127.0.0.1:{nobody}");
    let stitch = Stitch::up(&yaml(&url, "    mode: real-then-mock\n"));
    assert_eq!(said(&ask(&stitch, "/declared/x")), mocked());
    // The body is replayed to the mock.
    let answer = post(&stitch, "/echo", br#"{"x": 7}"#);
    assert_eq!(answer.text(), r#"{"got":7}"#);
    // Without an endpoint the caller is told about real.
    let missing = ask(&stitch, "/other");
    assert_eq!((missing.status, missing.header("x-stitch-reason")), (502, Some("connect_refused")));
}

#[test]
fn bodies_past_64_kib_are_not_replayed_and_get_reals_answer() {
    let upstream = real();
    let stitch = Stitch::up(&yaml(&upstream.url(), "    mode: real-then-mock\n"));
    assert_eq!(said(&post(&stitch, "/declared/501", &[b'x'; 64 * 1024])), mocked());
    let answer = post(&stitch, "/declared/501", &[b'x'; 64 * 1024 + 1]);
    assert_eq!((answer.status, answer.text().as_str()), (501, "not built yet"));
}

#[test]
fn modes_change_while_everything_runs() {
    let upstream = real();
    let stitch = Stitch::up(&yaml(&upstream.url(), ""));
    let set = |mode: &str| {
        let body = format!("{{\"mode\": \"{mode}\"}}");
        let length = body.len().to_string();
        let headers = [("host", "localhost"), ("content-length", &*length)];
        let path = "/api/services/users/mode";
        http::send(stitch.admin(), "PUT", path, &headers, body.as_bytes())
    };
    assert_eq!(ask(&stitch, "/declared/x").text(), "mock");
    let answer = set("real");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"]["mode"], "real");
    assert_eq!(answer.json()["data"]["mode_in_file"], "mock-then-real");
    assert_eq!(ask(&stitch, "/declared/x").text(), "real 0");
    assert_eq!(set("mock").status, 200);
    assert_eq!(ask(&stitch, "/other").status, 404);
    assert_eq!(set("fake").status, 400);
}

#[test]
fn a_mode_that_nothing_could_answer_in_is_refused() {
    let stitch = Stitch::up("services: { payments: { endpoints: [{ path: /, response: ok }] } }");
    let body = "{\"mode\": \"real\"}";
    let length = body.len().to_string();
    let headers = [("host", "localhost"), ("content-length", &*length)];
    let path = "/api/services/payments/mode";
    let answer = http::send(stitch.admin(), "PUT", path, &headers, body.as_bytes());
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("has no url"), "{}", answer.text());
}
