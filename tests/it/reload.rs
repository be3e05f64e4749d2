//! Hot reload: what changes at once, what stays, what is refused, and that nobody notices under load.

use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use stitch_kit::{
    Exit, Nginx, Process, Run, Signal, Stitch, Upstream, free_port, http, wait_until,
};

/// How soon a change has to be in force.
const SOON: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

fn mock(more: &str) -> String {
    format!("services: {{ shop: {{ endpoints: [{{ path: /a, response: one }}{more}] }} }}")
}

fn status(address: SocketAddr, path: &str) -> u16 {
    http::get(address, path, &[]).status
}

/// How often `event` was told so far.
fn told(stitch: &Process, event: &str) -> usize {
    let lines = stitch.stdout_lines();
    let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|line| line["event"] == event).count()
}

#[test]
fn an_added_endpoint_answers_within_two_seconds_and_a_removed_one_no_more() {
    let stitch = Stitch::up(&mock(""));
    assert_eq!(status(stitch.proxy(), "/b"), 404);
    let start = Instant::now();
    stitch.rewrite(&mock(", { path: /b, response: two }"));
    assert!(wait_until(SOON, || status(stitch.proxy(), "/b") == 200), "{:?}", start.elapsed());
    let reloaded = stitch.wait_for_stdout(|line| line["event"] == "reloaded");
    assert_eq!(reloaded["services"][0]["name"], "shop");
    assert_eq!(http::get(stitch.proxy(), "/a", &[]).text(), "one");
    stitch.rewrite(&mock(""));
    assert!(wait_until(SOON, || status(stitch.proxy(), "/b") == 404));
}

#[test]
fn a_file_written_in_place_is_noticed_like_one_renamed_over_it() {
    let stitch = Stitch::up(&mock(""));
    fs::write(stitch.path(), mock(", { path: /in-place, response: two }")).unwrap();
    assert!(wait_until(SOON, || status(stitch.proxy(), "/in-place") == 200));
    // The kit's own way: beside it, then renamed.
    stitch.rewrite(&mock(", { path: /renamed, response: two }"));
    assert!(wait_until(SOON, || status(stitch.proxy(), "/renamed") == 200));
    assert_eq!(status(stitch.proxy(), "/in-place"), 404);
}

#[test]
fn an_included_file_is_watched_and_so_is_one_that_comes_to_match() {
    let stitch = Stitch::builder()
        .yaml("include: [teams/*.yaml]\nservices: { shop: { endpoints: [{ path: /a }] } }")
        .file("teams/one.yaml", "services: { one: { endpoints: [{ path: /one }] } }")
        .start();
    assert_eq!(status(stitch.proxy(), "/one"), 200);
    stitch.rewrite_file("teams/one.yaml", "services: { one: { endpoints: [{ path: /uno }] } }");
    assert!(wait_until(SOON, || status(stitch.proxy(), "/uno") == 200));
    stitch.rewrite_file("teams/two.yaml", "services: { two: { endpoints: [{ path: /two }] } }");
    assert!(wait_until(SOON, || status(stitch.proxy(), "/two") == 200));
}

#[test]
fn sighup_reloads_what_no_stat_shows() {
    // The environment is no file: nothing changes on disk, and the reload happens all the same.
    let stitch = Stitch::up(&mock(""));
    stitch.signal(Signal::HUP);
    stitch.wait_for_stdout(|line| line["event"] == "reloaded");
    assert_eq!(status(stitch.proxy(), "/a"), 200);
    stitch.signal(Signal::HUP);
    assert!(wait_until(PATIENCE, || told(&stitch, "reloaded") == 2), "{}", stitch.stdout());
}

#[test]
fn a_bad_file_changes_nothing_and_every_problem_is_told() {
    let stitch = Stitch::up(&mock(""));
    stitch.rewrite(
        "services:\n  shop: { endpionts: [] }\n  Bad_Name: { url: http://localhost:1 }\n  \
         other: { url: ftp://x }\n",
    );
    let failed = stitch.wait_for_stdout(|line| line["event"] == "reload_failed");
    let problems = failed["problems"].as_array().unwrap();
    assert!(problems.len() >= 3, "{failed}");
    for (line, word) in [(2, "endpionts"), (3, "Bad_Name"), (4, "ftp")] {
        let about =
            |problem: &&Value| problem["line"] == line && problem.to_string().contains(word);
        let problem = problems.iter().find(about);
        let problem = problem.unwrap_or_else(|| panic!("nothing about {word} in {failed}"));
        assert!(problem["column"].as_u64().unwrap() > 0, "{problem}");
        assert!(problem["file"].as_str().unwrap().ends_with("stitch.yaml"), "{problem}");
    }
    assert_eq!(http::get(stitch.proxy(), "/a", &[]).text(), "one");
    // Not even YAML.
    stitch.rewrite("services: [");
    assert!(wait_until(PATIENCE, || told(&stitch, "reload_failed") == 2));
    assert_eq!(http::get(stitch.proxy(), "/a", &[]).text(), "one");
    // And the way back works.
    stitch.rewrite(&mock(", { path: /b }"));
    assert!(wait_until(SOON, || status(stitch.proxy(), "/b") == 200));
}

#[test]
fn a_file_that_goes_away_is_no_reason_to_stop() {
    let stitch = Stitch::up(&mock(""));
    fs::remove_file(stitch.path()).unwrap();
    let failed = stitch.wait_for_stdout(|line| line["event"] == "reload_failed");
    assert_eq!(failed["problems"].as_array().unwrap().len(), 1, "{failed}");
    assert_eq!(status(stitch.proxy(), "/a"), 200);
    stitch.rewrite(&mock(", { path: /b }"));
    assert!(wait_until(SOON, || status(stitch.proxy(), "/b") == 200));
}

#[test]
fn ports_open_and_close_with_the_file() {
    let with_port = |port: u16| {
        format!("services: {{ shop: {{ port: {port}, endpoints: [{{ path: /a }}] }} }}")
    };
    let stitch = Stitch::up(&with_port(0));
    let first = stitch.service("shop");
    assert_eq!(status(first, "/a"), 200);
    // Another process may take the port first; the file is then refused, and another port tried.
    let mut second = first;
    let moved = wait_until(PATIENCE, || {
        second = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let before = told(&stitch, "reloaded");
        stitch.rewrite(&with_port(second.port()));
        wait_until(SOON, || told(&stitch, "reloaded") > before)
    });
    assert!(moved, "{}", stitch.stdout());
    assert_eq!(status(second, "/a"), 200);
    assert!(wait_until(SOON, || TcpStream::connect(first).is_err()), "the old port still accepts");
    stitch.rewrite(&mock(""));
    assert!(wait_until(SOON, || TcpStream::connect(second).is_err()), "the port still accepts");
    assert_eq!(status(stitch.proxy(), "/a"), 200);
}

#[test]
fn a_port_that_is_taken_refuses_the_whole_file() {
    let stitch = Stitch::up(&mock(""));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    stitch.rewrite(&format!(
        "services: {{ shop: {{ endpoints: [{{ path: /new }}] }}, \
         other: {{ port: {port}, endpoints: [{{ path: /other }}] }} }}"
    ));
    let failed = stitch.wait_for_stdout(|line| line["event"] == "reload_failed");
    let message = failed["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("other") && message.contains(&port.to_string()), "{message}");
    assert_eq!((status(stitch.proxy(), "/a"), status(stitch.proxy(), "/new")), (200, 404));
}

#[test]
fn what_needs_a_restart_is_told_and_the_rest_is_in_force() {
    let stitch = Stitch::up(&mock(""));
    let text = format!(
        "seed: 7\nevents: in-process\nproxy: {{ drain: 3s, limits: {{ connections: 9 }} }}\n{}",
        mock(", { path: /b }")
    );
    stitch.rewrite(&text);
    let line = stitch.wait_for_stderr(|line| line.contains("restart"));
    for key in ["seed", "events", "proxy.limits", "proxy.drain"] {
        assert!(line.contains(key), "{key} is not in: {line}");
    }
    assert!(!line.contains("proxy.workers"), "{line}");
    assert!(wait_until(SOON, || status(stitch.proxy(), "/b") == 200));
}

#[test]
fn addresses_given_on_the_command_line_are_no_change() {
    let stitch = Stitch::up(&mock(""));
    stitch.rewrite(&mock(", { path: /b }"));
    stitch.wait_for_stdout(|line| line["event"] == "reloaded");
    assert!(!stitch.stderr().contains("restart"), "{}", stitch.stderr());
}

#[test]
fn an_unchanged_service_keeps_counters_connections_and_its_mode() {
    let upstream = Upstream::echo();
    // One worker: each has connections of its own, and a request may come to any of them.
    let text = |more: &str| {
        format!(
            "proxy: {{ workers: 1 }}\nservices:\n  users: {{ url: '{}', endpoints: [{{ path: /me }}] }}\n  \
             shop: {{ endpoints: [{{ path: /a }}{more}] }}\n",
            upstream.url()
        )
    };
    let stitch = Stitch::up(&text(""));
    for path in ["/x", "/x", "/me"] {
        assert_eq!(http::get(stitch.proxy(), path, &[("host", "users")]).status, 200);
    }
    let users = || http::get(stitch.admin(), "/api/services/users", &[]).json();
    assert!(wait_until(PATIENCE, || users()["data"]["counters"]["requests"] == 3), "{}", users());
    let body = br#"{"mode":"real-then-mock"}"#;
    let put = http::send(stitch.admin(), "PUT", "/api/services/users/mode", &[], body);
    assert_eq!(put.status, 200, "{}", put.text());
    let opened = upstream.connections();

    stitch.rewrite(&text(", { path: /b }"));
    assert!(wait_until(SOON, || status(stitch.proxy(), "/b") == 200));
    let users = &users()["data"];
    assert_eq!(users["mode"], "real-then-mock");
    assert_eq!((&users["counters"]["real"], &users["counters"]["mock"]), (&json!(2), &json!(1)));
    assert_eq!(users["endpoints"][0]["hits"], 1, "{users}");
    assert_eq!(http::get(stitch.proxy(), "/x", &[("host", "users")]).status, 200);
    assert_eq!(upstream.connections(), opened, "a connection was opened again");
}

#[test]
fn a_request_in_flight_ends_as_it_began() {
    let slow = |text: &str| {
        format!(
            "services: {{ shop: {{ endpoints: [{{ path: /slow, response: {text}, delay: 1500ms }}, \
             {{ path: /{text} }}] }} }}"
        )
    };
    let stitch = Stitch::up(&slow("old"));
    let proxy = stitch.proxy();
    let mut connection = http::Connection::open(proxy);
    connection.send("GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n");
    let in_flight = || {
        let shop = http::get(stitch.admin(), "/api/services/shop", &[]).json();
        shop["data"]["counters"]["in_flight"] == 1
    };
    assert!(wait_until(SOON, in_flight), "the slow request has not arrived");
    stitch.rewrite(&slow("new"));
    assert!(wait_until(SOON, || status(proxy, "/new") == 200));
    assert_eq!(connection.read_response().text(), "old");
    let answer = connection.request("GET", "/slow", &[("host", "shop")], b"");
    assert_eq!(answer.text(), "new", "the same connection, the new file");
}

/// Seconds of load; a longer soak asks for more.
fn soak() -> u64 {
    let seconds = std::env::var("STITCH_SOAK_SECONDS").ok();
    seconds.map_or(10, |seconds| seconds.parse().expect("STITCH_SOAK_SECONDS is a number"))
}

/// The number that follows a word in wrk's summary: `  Non-2xx or 3xx responses: 5`.
fn summary<'a>(report: &'a str, start: &str) -> Option<&'a str> {
    report.lines().map(str::trim).find_map(|line| line.strip_prefix(start)).map(str::trim)
}

#[test]
fn no_request_fails_while_the_file_changes_every_second_under_load() {
    // Not one of our own threads: what limits it must not be this process.
    let upstream = Nginx::start("location / { return 200 real; }");
    let text = |round: u64| {
        format!(
            "services:\n  users: {{ url: '{}', endpoints: [{{ path: /mock, response: mocked }}] }}\n  \
             round{round}: {{ endpoints: [{{ path: /round/{round} }}] }}\n",
            upstream.url()
        )
    };
    let stitch = Stitch::up(&text(0));
    let seconds = soak();
    let load = |path: &str| {
        Run::tool("wrk")
            .args(["-t2", "-c128", "-d", &format!("{seconds}s"), "-H", "Host: users"])
            .arg(format!("{}{path}", stitch.proxy_url()))
            .limit(Duration::from_secs(seconds + 60))
            .spawn()
    };
    // 256 connections: one half to the mock, one half to the real service.
    let loads = [load("/mock"), load("/real")];
    let running = || loads.iter().all(|load| load.exited().is_none());
    let mut round = 0;
    while running() {
        round += 1;
        stitch.rewrite(&text(round));
        let path = format!("/round/{round}");
        assert!(wait_until(PATIENCE, || status(stitch.proxy(), &path) == 200), "round {round}");
        wait_until(Duration::from_secs(1), || !running());
    }
    for load in loads {
        assert_eq!(load.wait_exit(), Exit::Code(0), "{}", load.stderr());
        let report = load.stdout();
        assert_eq!(summary(&report, "Socket errors:"), None, "{report}");
        assert_eq!(summary(&report, "Non-2xx or 3xx responses:"), None, "{report}");
        let count = report.lines().find(|line| line.contains(" requests in "));
        let count = count.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 100), "{report}");
    }
    assert!(round >= seconds / 3, "the file changed {round} times in {seconds} s");
    assert_eq!(told(&stitch, "reload_failed"), 0, "{}", stitch.stdout());
}
