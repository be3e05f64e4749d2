//! Routes that answer by themselves.

use serde_json::json;
use stitch_kit::http::{self, Connection};
use stitch_kit::{Stitch, curl};

const YAML: &str = r#"
services: { users: { endpoints: [{ path: /**, method: ANY, response: mock }] } }
routes:
- { match: /robots.txt, respond: { body: "User-agent: *\nDisallow: /\n" } }
- match: { path: /old/**, method: [GET, HEAD, POST] }
  respond:
    status: 410
    headers: { content-type: application/problem+json, set-cookie: [a=1, b=2], x-why: moved }
    body: { z: gone, a: [1, null, 2.50] }
- { match: /empty, respond: { status: 204, headers: { x-a: b } } }
- { match: /teapot, respond: { status: 418 } }
- { match: /**, to: users }
"#;

#[test]
fn text_and_json_are_answered_as_written() {
    let stitch = Stitch::up(YAML);
    let robots = http::get(stitch.proxy(), "/robots.txt?a=b", &[]);
    assert_eq!((robots.status, robots.text().as_str()), (200, "User-agent: *\nDisallow: /\n"));
    assert_eq!(robots.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(robots.header("content-length"), Some("26"));
    assert!(robots.header("x-request-id").is_some(), "marked like every answer");
    let old = http::get(stitch.proxy(), "/old/a/b", &[]);
    assert_eq!((old.status, old.text().as_str()), (410, "{\"z\":\"gone\",\"a\":[1,null,2.5]}"));
    assert_eq!(old.headers.all("content-type"), ["application/problem+json"]);
    assert_eq!(old.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(old.header("x-why"), Some("moved"));
    let teapot = http::get(stitch.proxy(), "/teapot", &[]);
    assert_eq!((teapot.status, teapot.body.len()), (418, 0));
    // Other methods are not claimed.
    assert_eq!(http::send(stitch.proxy(), "PUT", "/old/a", &[], b"").text(), "mock");
}

#[test]
fn a_connection_goes_on_behind_every_kind_of_answer() {
    let stitch = Stitch::up(YAML);
    let mut client = Connection::open(stitch.proxy());
    let head = client.request("HEAD", "/old/a", &[], b"");
    let length = "{\"z\":\"gone\",\"a\":[1,null,2.5]}".len().to_string();
    assert_eq!((head.status, head.header("content-length")), (410, Some(length.as_str())));
    let empty = client.request("GET", "/empty", &[], b"");
    assert_eq!((empty.status, empty.header("x-a")), (204, Some("b")));
    assert_eq!((empty.header("content-length"), empty.header("content-type")), (None, None));
    // A small body that nobody asked for is read away; what is left of a larger one ends it.
    let posted = client.request("POST", "/old/a", &[], &[b'x'; 1000]);
    assert_eq!((posted.status, posted.header("connection")), (410, None));
    assert_eq!(client.request("GET", "/else", &[], b"").text(), "mock");
    let posted = client.request("POST", "/old/a", &[], &[b'x'; 100_000]);
    assert_eq!((posted.status, posted.header("connection")), (410, Some("close")));
}

#[test]
fn http2_gets_the_same() {
    let stitch = Stitch::up(YAML);
    let ask = |args: &[&str], path: &str| {
        let url = format!("{}{path}", stitch.proxy_url());
        let args = [&["--http2-prior-knowledge", "-D", "-"], args, &[url.as_str()]].concat();
        curl(&args).success().stdout
    };
    let old = ask(&[], "/old/x");
    assert!(old.starts_with("HTTP/2 410") && old.ends_with("2.5]}"), "{old}");
    let head = ask(&["-I"], "/old/x");
    assert!(head.contains("content-length: 29") && !head.contains("gone"), "{head}");
    let empty = ask(&[], "/empty");
    assert!(empty.starts_with("HTTP/2 204") && !empty.contains("content-length"), "{empty}");
}

#[test]
fn explain_and_the_dump_know_the_answer() {
    let stitch = Stitch::up(YAML);
    let file = stitch.path().display().to_string();
    let explained = Stitch::run(&["explain", &file, "GET", "/old/x", "--format", "json"]);
    let explained = explained.output().success().stdout;
    assert!(explained.contains("answered with 410 by the route itself"), "{explained}");
    let config = http::get(stitch.admin(), "/api/config", &[]).json();
    let respond = &config["data"]["routes"][1]["respond"];
    assert_eq!(respond["body"], json!({ "z": "gone", "a": [1, null, 2.5] }), "{config}");
}
