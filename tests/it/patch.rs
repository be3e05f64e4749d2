//! Policies changed at run time: in force at once or refused as a whole, kept over reloads for as
//! long as they mean something, and written beside the file when asked to.

use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{
    Answer, Exit, Nginx, Run, Scratch, Signal, Stitch, Upstream, free_port, wait_until,
};

/// How soon a change of the file has to be in force.
const SOON: Duration = Duration::from_secs(2);
const OVERLAY: &str = "stitch.overlay.yaml";

/// A real service: `/slow` takes a while.
fn upstream() -> Upstream {
    Upstream::http(|request| match request.path() {
        "/slow" => Answer::new(200, "slow").after(Duration::from_millis(1500)),
        _ => Answer::new(200, "now"),
    })
}

/// It alone, with these keys more.
fn file(upstream: &Upstream, more: &str) -> String {
    format!("# the user's own words\nservices:\n  shop:\n    url: {}\n{more}", upstream.url())
}

fn patch_at(stitch: &Stitch, target: &str, body: &str) -> Response {
    let json = [("content-type", "application/json")];
    http::send(stitch.admin(), "PATCH", target, &json, body.as_bytes())
}

fn patch(stitch: &Stitch, body: &str) -> Response {
    patch_at(stitch, "/api/services/shop", body)
}

/// The service as it is after a patch that has to work.
#[track_caller]
fn patched(stitch: &Stitch, body: &str) -> Value {
    let answer = patch(stitch, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

#[track_caller]
fn persisted(stitch: &Stitch, body: &str) -> Value {
    let answer = patch_at(stitch, "/api/services/shop?persist=true", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

fn undo(stitch: &Stitch, what: &str) -> Response {
    let target = format!("/api/services/shop/overrides{what}");
    http::send(stitch.admin(), "DELETE", &target, &[], b"")
}

fn shop(stitch: &Stitch) -> Value {
    http::get(stitch.admin(), "/api/services/shop", &[]).json()["data"].clone()
}

fn get(stitch: &Stitch, path: &str) -> Response {
    http::get(stitch.proxy(), path, &[("host", "shop")])
}

fn overlay(stitch: &Stitch) -> PathBuf {
    stitch.path().with_file_name(OVERLAY)
}

/// The events of that name so far.
fn told(stitch: &Stitch, event: &str) -> Vec<Value> {
    let lines = stitch.stdout_lines();
    let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|line| line["event"] == event).collect()
}

/// Rewrites the file, and waits for what is told of it.
fn reloaded(stitch: &Stitch, text: &str) -> Value {
    let before = told(stitch, "reloaded").len();
    stitch.rewrite(text);
    assert!(wait_until(SOON, || told(stitch, "reloaded").len() > before), "{}", stitch.stdout());
    told(stitch, "reloaded").pop().unwrap()
}

#[test]
fn a_patch_is_in_force_for_the_next_request_and_not_for_one_in_flight() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, ""));
    let mut in_flight = Connection::open(stitch.proxy());
    in_flight.send("GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n");
    assert!(wait_until(SOON, || shop(&stitch)["counters"]["in_flight"] == 1));
    let service = patched(&stitch, r#"{"timeout": {"request": "100ms"}}"#);
    assert_eq!(service["overrides"], json!({ "timeout": { "request": "100ms" } }));
    assert_eq!(service["policies"]["timeout"]["request"], "100ms");
    let late = get(&stitch, "/slow");
    assert_eq!((late.status, late.header("x-stitch-reason")), (504, Some("timeout_request")));
    assert_eq!(in_flight.read_response().text(), "slow", "it began before the change");

    // Every key by itself, and back.
    let service = patched(&stitch, r#"{"compression": true}"#);
    assert_eq!(service["overrides"].as_object().unwrap().len(), 2, "{service}");
    let answer = undo(&stitch, "/timeout");
    assert_eq!(answer.json()["data"]["overrides"], json!({ "compression": true }));
    assert_eq!(get(&stitch, "/slow").status, 200);
    assert_eq!(undo(&stitch, "/timeout").status, 404, "it is not changed any more");
    let answer = undo(&stitch, "");
    assert_eq!(answer.json()["data"].get("overrides"), None, "{}", answer.text());
}

#[test]
fn a_patch_of_a_small_file_is_in_force_within_50_ms() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, ""));
    // Others run beside this test: the best of many is what it takes.
    let took = (1..=10).map(|seconds| {
        let start = Instant::now();
        let service = patched(&stitch, &format!("{{\"timeout\": \"{seconds}s\"}}"));
        assert_eq!(service["policies"]["timeout"]["request"], format!("{seconds}s"));
        start.elapsed()
    });
    let took = took.min().unwrap();
    assert!(took <= Duration::from_millis(50), "it took {took:?}");
}

#[test]
fn null_takes_the_file_s_own_value_away() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, "    timeout: 200ms\n"));
    assert_eq!(get(&stitch, "/slow").status, 504);
    let service = patched(&stitch, r#"{"timeout": null}"#);
    assert_eq!(service["overrides"], json!({ "timeout": null }));
    assert_eq!(get(&stitch, "/slow").status, 200);
    assert_eq!(undo(&stitch, "/timeout").status, 200);
    assert_eq!(get(&stitch, "/slow").status, 504);
}

#[test]
fn a_patch_with_mistakes_changes_nothing_and_tells_all_of_them() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, ""));
    let before = shop(&stitch);
    let answer = patch(
        &stitch,
        "{\n\t\"timeout\": {\"request\": \"soon\", \"conect\": \"1s\"},\n  \"mode\": \"mock\",\n  \"port\": 1, \"compression\": true}",
    );
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    let problems = problem["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|it| (&it["at"], &it["path"])).collect();
    assert_eq!(
        places,
        [
            (&json!("2:25"), &json!("services.shop.timeout.request")),
            (&json!("2:33"), &json!("services.shop.timeout.conect")),
            (&json!("3:11"), &json!("services.shop.mode")),
            (&json!("4:3"), &json!("services.shop.port")),
        ]
    );
    assert!(problems.iter().all(|it| it["message"].is_string()), "{problem}");
    assert!(problems[1]["hint"].as_str().unwrap().contains("connect"), "{problem}");
    assert_eq!(shop(&stitch), before);
    let unknown = patch_at(&stitch, "/api/services/shob", "{}");
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["hint"].as_str().unwrap().contains("shop"), "{}", unknown.text());
    assert_eq!(patch(&stitch, "{").status, 400);
    assert_eq!(shop(&stitch), before);
    assert!(!overlay(&stitch).exists());
}

#[test]
fn a_change_survives_a_reload_until_the_file_says_something_else_of_the_key() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, "    timeout: 9s\n"));
    patched(&stitch, r#"{"timeout": {"request": "100ms"}, "compression": true}"#);
    let event = reloaded(&stitch, &(file(&upstream, "    timeout: 9s\n") + "    mock_on: 501\n"));
    assert_eq!(event.get("dropped"), None, "{event}");
    assert_eq!(shop(&stitch)["overrides"].as_object().unwrap().len(), 2);
    assert_eq!(get(&stitch, "/slow").status, 504);

    let event = reloaded(&stitch, &file(&upstream, "    timeout: 8s\n"));
    assert_eq!(event["dropped"][0]["service"], "shop");
    assert_eq!(event["dropped"][0]["key"], "timeout");
    assert_eq!(event["dropped"].as_array().unwrap().len(), 1, "{event}");
    let line = stitch.wait_for_stderr(|line| line.contains("dropped"));
    assert!(line.contains("timeout") && line.contains("shop"), "{line}");
    assert_eq!(shop(&stitch)["overrides"], json!({ "compression": true }));
    assert_eq!(get(&stitch, "/slow").status, 200);
    // The same service, gone and back: nothing of it is left.
    let event = reloaded(&stitch, "services: { other: { endpoints: [{ path: / }] } }");
    assert_eq!(event["dropped"][0]["key"], "compression", "{event}");
    reloaded(&stitch, &file(&upstream, ""));
    assert_eq!(shop(&stitch).get("overrides"), None);
}

#[test]
fn a_reload_that_leaves_no_meaning_to_a_change_drops_it_and_is_in_force() {
    let both = "services: { shop: { url: 'http://127.0.0.1:1', endpoints: [{ path: /now }] } }";
    let stitch = Stitch::up(both);
    patched(&stitch, r#"{"mode": "real", "timeout": "3s"}"#);
    assert_eq!(shop(&stitch)["mode_in_file"], "mock-then-real");
    // Wrong in itself: refused, with its own problem alone, and nothing is dropped.
    stitch.rewrite("services: { shop: { endpoints: [{ path: /now }], moed: real } }");
    let failed = stitch.wait_for_stdout(|line| line["event"] == "reload_failed");
    assert_eq!(failed["problems"].as_array().unwrap().len(), 1, "{failed}");
    assert!(failed["problems"][0]["message"].as_str().unwrap().contains("moed"), "{failed}");
    assert_eq!(shop(&stitch)["mode"], "real");
    let answer = patch(&stitch, r#"{"compression": true}"#);
    assert_eq!(answer.status, 409, "{}", answer.text());
    let at = answer.json()["problems"][0]["at"].as_str().unwrap().to_owned();
    assert!(at.ends_with("stitch.yaml:1:50"), "{at}");

    let event = reloaded(&stitch, "services: { shop: { endpoints: [{ path: /now }] } }");
    assert_eq!(event["dropped"][0]["key"], "mode", "{event}");
    assert_eq!(event["dropped"].as_array().unwrap().len(), 1, "{event}");
    let shop = shop(&stitch);
    assert_eq!((&shop["mode"], &shop["overrides"]), (&json!("mock"), &json!({ "timeout": "3s" })));
}

#[test]
fn a_mode_is_one_whichever_way_it_was_set() {
    let stitch = Stitch::up(
        "services: { shop: { url: 'http://127.0.0.1:1', endpoints: [{ path: /now }] } }",
    );
    let put = |mode: &str| {
        let body = format!("{{\"mode\": \"{mode}\"}}");
        let target = "/api/services/shop/mode";
        http::send(stitch.admin(), "PUT", target, &[], body.as_bytes()).json()["data"].clone()
    };
    let modes = |service: &Value| {
        [&service["mode"], &service["mode_in_file"], &service["overrides"]["mode"]]
            .map(Clone::clone)
    };
    let real = [json!("real"), json!("mock-then-real"), json!("real")];
    assert_eq!(modes(&put("real")), real);
    assert_eq!(modes(&patched(&stitch, r#"{"timeout": "3s"}"#)), real);
    assert_eq!(modes(&patched(&stitch, r#"{"mode": "mock"}"#))[0], "mock");
    assert_eq!(get(&stitch, "/now").status, 200);
    assert_eq!(modes(&put("real")), real);
    assert_eq!(get(&stitch, "/now").status, 502);
    assert_eq!(modes(&put("mock-then-real"))[1], Value::Null);
    assert_eq!(get(&stitch, "/now").status, 200);
}

#[test]
fn what_is_persisted_is_there_at_the_next_start_and_gone_with_its_file() {
    let upstream = upstream();
    let text = file(&upstream, "    timeout: { connect: 1s }\n");
    let stitch = Stitch::up(&text);
    let own = fs::read(stitch.path()).unwrap();
    patched(&stitch, r#"{"timeout": {"request": "9s"}}"#);
    let service = persisted(&stitch, r#"{"timeout": {"request": "100ms"}}"#);
    assert_eq!(service.get("overrides"), None, "it comes from the file now: {service}");
    assert_eq!(service["policies"]["timeout"]["request"], "100ms");
    assert_eq!(get(&stitch, "/slow").status, 504);
    persisted(&stitch, r#"{"compression": true}"#);
    let written = fs::read_to_string(overlay(&stitch)).unwrap();
    assert!(written.starts_with("# Changes of policies"), "{written}");
    assert!(written.contains("request: \"100ms\"") && !written.contains("connect"), "{written}");
    assert_eq!(fs::read(stitch.path()).unwrap(), own, "the user's file is not touched");
    // What it wrote itself is no news to it; a word to it is, and the only one.
    stitch.rewrite_file("unrelated.yaml", "services: {}");
    let event = reloaded(&stitch, &(text.clone() + "\n"));
    assert_eq!(event["overlay"], OVERLAY);
    assert_eq!(told(&stitch, "reloaded").len(), 1, "{}", stitch.stdout());

    let next = Stitch::builder().yaml(&text).file(OVERLAY, &written).start();
    assert_eq!(next.ready().json()["overlay"], OVERLAY);
    assert_eq!(get(&next, "/slow").status, 504);
    assert_eq!(shop(&next).get("overrides"), None);
    let check = Stitch::run(&["check", next.path().to_str().unwrap()]).output();
    assert!(check.stdout.contains("with changes from stitch.overlay.yaml"), "{}", check.stdout);

    fs::remove_file(overlay(&next)).unwrap();
    assert!(wait_until(SOON, || get(&next, "/slow").status == 200), "{}", next.stdout());
    // A patch that says what the file says leaves nothing to write.
    persisted(&stitch, r#"{"timeout": {"request": null}, "compression": null}"#);
    assert!(!overlay(&stitch).exists(), "{}", fs::read_to_string(overlay(&stitch)).unwrap());
    assert_eq!(get(&stitch, "/slow").status, 200);
}

#[test]
fn an_overlay_edited_by_hand_is_watched_and_its_mistakes_are_told() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, ""));
    stitch.rewrite_file(OVERLAY, "services: { shop: { timeout: 100ms } }");
    assert!(wait_until(SOON, || get(&stitch, "/slow").status == 504), "{}", stitch.stdout());
    stitch.rewrite_file(OVERLAY, "services: { shop: { timeout: never } }");
    let failed = stitch.wait_for_stdout(|line| line["event"] == "reload_failed");
    assert!(failed["problems"][0]["file"].as_str().unwrap().ends_with(OVERLAY), "{failed}");
    assert_eq!(get(&stitch, "/slow").status, 504, "what was before stays");
    fs::remove_file(overlay(&stitch)).unwrap();
    assert!(wait_until(SOON, || get(&stitch, "/slow").status == 200));
}

#[test]
fn what_cannot_be_written_is_not_in_force_either() {
    let upstream = upstream();
    let stitch = Stitch::up(&file(&upstream, ""));
    // Nobody may put a file where a folder is, root neither.
    fs::create_dir(overlay(&stitch)).unwrap();
    let before = shop(&stitch);
    let answer = patch_at(&stitch, "/api/services/shop?persist=true", r#"{"timeout": "100ms"}"#);
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.json().to_string().contains(OVERLAY), "{}", answer.text());
    assert_eq!(shop(&stitch), before);
    assert_eq!(get(&stitch, "/slow").status, 200);
    fs::remove_dir(overlay(&stitch)).unwrap();
    persisted(&stitch, r#"{"timeout": "100ms"}"#);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(overlay(&stitch)), mode(stitch.path().to_owned()), "as readable as the file");
}

#[test]
fn of_many_patches_at_once_each_holds() {
    let upstream = upstream();
    let many: String =
        (0..8).map(|it| format!("  s{it}: {{ endpoints: [{{ path: / }}] }}\n")).collect();
    let stitch = Stitch::up(&format!("{}{many}", file(&upstream, "")));
    std::thread::scope(|threads| {
        for it in 0..8 {
            let stitch = &stitch;
            threads.spawn(move || {
                let body = format!("{{\"timeout\": \"{}s\"}}", it + 1);
                let target = format!("/api/services/s{it}");
                assert_eq!(patch_at(stitch, &target, &body).status, 200);
                let target = target + "?persist=true";
                assert_eq!(patch_at(stitch, &target, "{\"compression\": true}").status, 200);
            });
        }
        // One key of one service each.
        for body in [r#"{"timeout": {"request": "7s"}}"#, r#"{"timeout": {"connect": "3s"}}"#] {
            let stitch = &stitch;
            threads.spawn(move || patched(stitch, body));
        }
        stitch.rewrite(&format!("{}{many}", file(&upstream, "    mock_on: 501\n")));
    });
    let timeout = &shop(&stitch)["policies"]["timeout"];
    assert_eq!((&timeout["request"], &timeout["connect"]), (&json!("7s"), &json!("3s")));
    for it in 0..8 {
        let target = format!("/api/services/s{it}");
        let service = &http::get(stitch.admin(), &target, &[]).json()["data"];
        assert_eq!(service["overrides"], json!({ "timeout": format!("{}s", it + 1) }));
    }
    let written = fs::read_to_string(overlay(&stitch)).unwrap();
    assert_eq!(written.matches("compression: true").count(), 8, "{written}");
}

#[test]
fn a_change_does_not_wait_for_commands_that_are_starting() {
    let folder = Scratch::new();
    let up = "services: { shop: { url: 'http://127.0.0.1:1', command: sleep 60, endpoints: [{ path: /now }] } }";
    let main = folder.write("stitch.yaml", up);
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let at = admin.to_string();
    let args = ["up", main.to_str().unwrap(), "--listen", "127.0.0.1:0", "--admin", &at];
    let stitch = Stitch::run(&args).spawn();
    assert!(wait_until(SOON, || TcpStream::connect(admin).is_ok()), "{}", stitch.stderr());
    let json = [("content-type", "application/json")];
    let target = "/api/services/shop";
    let answer = http::send(admin, "PATCH", target, &json, br#"{"mode": "mock"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"]["mode"], "mock");
    assert_eq!(http::get(admin, "/health/ready", &[]).status, 503, "it is still starting");
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0), "{}", stitch.stderr());
}

#[test]
fn no_request_fails_while_policies_change_under_load() {
    let upstream = Nginx::start("location / { return 200 real; }");
    let stitch = Stitch::up(&format!(
        "services: {{ shop: {{ url: '{}', endpoints: [{{ path: /mock, response: mocked }}] }} }}",
        upstream.url()
    ));
    let load = Run::tool("wrk")
        .args(["-t1", "-c32", "-d3s", "-H", "Host: shop"])
        .arg(format!("{}/real", stitch.proxy_url()))
        .limit(Duration::from_secs(60))
        .spawn();
    let mut rounds = 0;
    while load.exited().is_none() {
        rounds += 1;
        let body = format!("{{\"timeout\": \"{}s\", \"mode\": \"real\"}}", 10 + rounds % 20);
        patched(&stitch, &body);
        if rounds % 5 == 0 {
            assert_eq!(undo(&stitch, "").status, 200);
        }
    }
    assert_eq!(load.wait_exit(), Exit::Code(0), "{}", load.stderr());
    let report = load.stdout();
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    assert!(report.contains(" requests in ") && rounds > 10, "{rounds} rounds: {report}");
}
