//! Request targets: the forms they come in, and what of them goes out.

use super::recorder::Recorder;
use stitch_kit::Stitch;
use stitch_kit::http;

/// What the upstream is asked for when the proxy is asked for this.
fn asked(recorder: &Recorder, line: &str) -> String {
    let (_, answer) = recorder.send(format!("{line} HTTP/1.1\r\nhost: users\r\n\r\n"));
    assert_eq!(answer.status, 200, "{line}: {}", answer.text());
    let seen = recorder.seen();
    let first = seen.lines().rfind(|line| line.ends_with(" http/1.1")).unwrap();
    first.strip_suffix(" http/1.1").unwrap().to_owned()
}

#[test]
fn paths_and_queries_go_out_as_they_came_in() {
    let recorder = Recorder::new();
    for target in [
        "/",
        "//a//b",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/a%2fb",
        "/a?b=c?d&e=%20",
        "/a;b=c",
        "/?",
        "/a|b",
    ] {
        assert_eq!(asked(&recorder, &format!("GET {target}")), format!("get {target}"));
    }
}

#[test]
fn an_absolute_target_goes_out_in_origin_form() {
    let recorder = Recorder::new();
    for (target, out) in [
        ("http://users", "/"),
        ("http://users/", "/"),
        ("http://users?a=b", "/?a=b"),
        ("http://users:80/a?b", "/a?b"),
        ("HTTP://Users/a", "/a"),
    ] {
        assert_eq!(asked(&recorder, &format!("GET {target}")), format!("get {out}"));
    }
}

#[test]
fn asterisk_form_passes_with_and_without_a_base_path() {
    let recorder = Recorder::new();
    assert_eq!(asked(&recorder, "OPTIONS *"), "options *");
    let upstream = stitch_kit::Upstream::echo();
    let stitch =
        Stitch::up(&format!("services: {{ users: {{ url: '{}/base' }} }}", upstream.url()));
    let answer = http::send(stitch.proxy(), "OPTIONS", "*", &[("host", "users")], b"");
    assert_eq!(answer.json()["target"], "*");
}

#[test]
fn credentials_in_a_target_are_not_told_to_the_service_as_its_host() {
    let upstream = stitch_kit::Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{0}' }}, kept: {{ url: '{0}', preserve_host: true }} }}",
        upstream.url()
    ));
    for name in ["users", "kept"] {
        let url = format!("http://ada:secret@{name}/a");
        assert_eq!(http::get(stitch.proxy(), &url, &[("host", name)]).status, 200);
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("x-forwarded-host"), Some("users"));
    assert_eq!(seen[1].header("host"), Some("kept"));
    assert!(!format!("{seen:?}").contains("secret"));
}

#[test]
fn a_path_cannot_turn_a_redirect_to_another_host() {
    let stitch = Stitch::up("routes: [{ match: /old/**, redirect: /** }]");
    for path in ["/old//evil.example/a", "/old///evil.example/a", "/old/\\evil.example/a"] {
        let answer = http::get(stitch.proxy(), path, &[]);
        // Some are refused as targets already.
        let location = answer.header("location").unwrap_or("/");
        assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{path}: {location}");
    }
    let answer = http::get(stitch.proxy(), "/old/a//b", &[]);
    assert_eq!(answer.header("location"), Some("/a//b"));
}
