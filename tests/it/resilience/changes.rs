//! Every policy changed at run time: in force for the next request, gone with its undoing, and refused
//! as a whole when it is wrong.

use super::{at_once, with_status};
use serde_json::{Value, json};
use std::time::Duration;
use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A service at two endpoints, with a mock of one path, and one more that gets copies.
struct Lab {
    stitch: Stitch,
    ends: [Upstream; 2],
    copy: Upstream,
}

impl Lab {
    fn start() -> Self {
        let ends = ["a", "b"].map(|name| {
            Upstream::http(move |request| match (request.path(), name) {
                ("/fail", _) | ("/half", "a") => Answer::new(500, "failed"),
                ("/ill", _) => Answer::new(503, "ill"),
                ("/slow", _) => Answer::new(200, "slow").after(Duration::from_millis(500)),
                ("/json", _) => {
                    let told = json!({ "secret": 1, "filler": "x".repeat(500) }).to_string();
                    Answer::new(200, told).header("content-type", "application/json")
                }
                _ => Answer::new(200, name),
            })
        });
        let copy = Upstream::echo();
        let stitch = Stitch::up(&format!(
            "services:\n  users:\n    urls: ['{}', '{}']\n    endpoints: [{{ path: /mocked }}]\n  \
             copy: {{ url: '{}' }}\n",
            ends[0].url(),
            ends[1].url(),
            copy.url()
        ));
        Self { stitch, ends, copy }
    }

    fn patch(&self, body: &Value) -> Response {
        let json = [("content-type", "application/json")];
        let body = body.to_string();
        http::send(self.stitch.admin(), "PATCH", "/api/services/users", &json, body.as_bytes())
    }

    #[track_caller]
    fn undo(&self) {
        let target = "/api/services/users/overrides";
        assert_eq!(http::send(self.stitch.admin(), "DELETE", target, &[], b"").status, 200);
    }

    fn service(&self) -> Value {
        http::get(self.stitch.admin(), "/api/services/users", &[]).json()["data"].clone()
    }

    fn get(&self, path: &str) -> Response {
        self.ask(path, &[])
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        http::get(self.stitch.proxy(), path, &[&[("host", "users")], headers].concat())
    }

    fn calls(&self) -> usize {
        self.ends.iter().map(|end| end.requests().len()).sum()
    }
}

/// A key, a change of it, and how that shows.
type Case = (&'static str, Value, fn(&Lab) -> bool);

fn cases() -> Vec<Case> {
    vec![
        ("timeout", json!("100ms"), |lab| lab.get("/slow").status == 504),
        ("mode", json!("real"), |lab| lab.get("/mocked").header("x-stitch-source") == Some("real")),
        ("retry", json!({ "retries": 2, "on": ["5xx"], "backoff": "1ms..1ms" }), |lab| {
            let before = lab.calls();
            lab.get("/fail").status == 500 && lab.calls() == before + 3
        }),
        ("breaker", json!({ "consecutive": 1 }), |lab| {
            lab.get("/fail");
            lab.get("/a").header("x-stitch-reason") == Some("breaker_open")
        }),
        ("eject", json!({ "consecutive": 1, "for": "60s" }), |lab| {
            let answers: Vec<_> = (0..40).map(|_| lab.get("/half")).collect();
            // By chance alone it would be 20.
            with_status(&answers, 500) <= 1
        }),
        ("headers", json!({ "response": { "set": { "x-new": "yes" } } }), |lab| {
            lab.get("/a").header("x-new") == Some("yes")
        }),
        ("body", json!({ "response": { "remove": "$.secret" } }), |lab| {
            lab.get("/json").json().get("secret").is_none()
        }),
        ("rate_limit", json!("2/h"), |lab| [0; 3].map(|_| lab.get("/a").status) == [200, 200, 429]),
        ("concurrency", json!({ "max": 1 }), |lab| {
            let answers = at_once(3, |_| lab.get("/slow"));
            with_status(&answers, 200) == 1 && with_status(&answers, 503) == 2
        }),
        ("balance", json!("hash:header:x-tenant"), |lab| {
            let ask = || lab.ask("/a", &[("x-tenant", "acme")]).text();
            let first = ask();
            (0..40).all(|_| ask() == first)
        }),
        ("compression", json!(true), |lab| {
            lab.ask("/json", &[("accept-encoding", "gzip")]).header("content-encoding")
                == Some("gzip")
        }),
        ("cors", json!({ "origins": ["http://app.test"] }), |lab| {
            let answer = lab.ask("/a", &[("origin", "http://app.test")]);
            answer.header("access-control-allow-origin") == Some("http://app.test")
        }),
        ("auth", json!({ "api_key": { "keys": { "ann": format!("sha256:{:064}", 0) } } }), |lab| {
            lab.get("/a").status == 401
        }),
        ("slow_start", json!("45s"), |lab| lab.service()["policies"]["slow_start"] == "45s"),
    ]
}

#[test]
fn a_change_of_each_policy_is_in_force_at_once_and_until_it_is_undone() {
    let lab = Lab::start();
    for (key, change, shows) in cases() {
        assert!(!shows(&lab), "{key} shows before it is changed");
        let answer = lab.patch(&json!({ (key): change }));
        assert_eq!(answer.status, 200, "{key}: {}", answer.text());
        assert!(shows(&lab), "{key} does not show: {}", lab.service());
        assert!(!lab.service()["overrides"][key].is_null(), "{key}");
        lab.undo();
        assert!(!shows(&lab), "{key} shows after it was undone");
        assert_eq!(lab.service().get("overrides"), None, "{key}");
    }
}

#[test]
fn a_policy_of_the_defaults_is_switched_off_by_false() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "defaults: {{ rate_limit: 1/h, fallback: {{ status: 203 }} }}\nservices:\n  users: {{ url: '{}' }}\n",
        upstream.url()
    ));
    let get = || super::get(&stitch).status;
    assert_eq!([get(), get()], [200, 429]);
    let json = [("content-type", "application/json")];
    let off = br#"{"rate_limit": false}"#;
    let answer = http::send(stitch.admin(), "PATCH", "/api/services/users", &json, off);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!([get(), get(), get()], [200; 3]);
    let back = br#"{"rate_limit": null}"#;
    assert_eq!(http::send(stitch.admin(), "PATCH", "/api/services/users", &json, back).status, 200);
    assert_eq!(get(), 429, "the bucket is as it was");
}

#[test]
fn a_fallback_a_mirror_and_health_checks_are_changed_too() {
    let lab = Lab::start();
    let change = json!({ "fallback": { "status": 203, "body": "later" }, "timeout": "100ms" });
    assert_eq!(lab.patch(&change).status, 200);
    let answer = lab.get("/slow");
    assert_eq!((answer.status, answer.text().as_str()), (203, "later"));
    lab.undo();
    assert_eq!(lab.get("/slow").status, 200);

    assert_eq!(lab.patch(&json!({ "mirror": "copy" })).status, 200);
    assert_eq!(lab.get("/copied").status, 200);
    assert!(wait_until(PATIENCE, || lab.copy.requests().len() == 1));
    assert_eq!(lab.copy.requests()[0].path(), "/copied");
    lab.undo();

    let health =
        json!({ "health": { "path": "/ill", "every": "1s", "timeout": "1s", "unhealthy": 1 } });
    let answer = lab.patch(&health);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ill = || lab.get("/a").header("x-stitch-reason") == Some("no_healthy_endpoint");
    assert!(wait_until(PATIENCE, ill), "{}", lab.service());
    lab.undo();
    assert!(wait_until(PATIENCE, || lab.get("/a").status == 200), "{}", lab.service());
}

/// Each of them is a mistake.
fn mistakes() -> Value {
    json!({
        "timeout": { "request": "soon" },
        "mode": "fake",
        "retry": { "retries": "many" },
        "breaker": { "failure_rate": "200%" },
        "eject": { "for": 7 },
        "headers": { "request": { "set": { "content-length": "1" } } },
        "body": { "request": { "set": { "no path": 1 } } },
        "fallback": { "status": 99 },
        "rate_limit": "fast",
        "concurrency": { "max": 0 },
        "balance": "roundrobin",
        "slow_start": "soon",
        "compression": 7,
        "cors": { "origins": "*", "credentials": true },
        "mirror": "nobody",
        "auth": { "basic": { "users": { "bob": "plain" } } },
        "health": { "every": "0s" },
    })
}

/// The keys that problems are about.
fn keys_of(answer: &Response) -> Vec<String> {
    assert_eq!(answer.status, 422, "{}", answer.text());
    let told = answer.json();
    let problems = told["problems"].as_array().unwrap();
    assert!(problems.iter().all(|problem| problem["message"].is_string()), "{told}");
    let key = |problem: &Value| {
        let path = problem["path"].as_str().unwrap_or_else(|| panic!("no path: {problem}"));
        let path = path.strip_prefix("services.users.").unwrap_or_else(|| panic!("{problem}"));
        path.split(['.', '[']).next().unwrap().to_owned()
    };
    problems.iter().map(key).collect()
}

#[test]
fn a_mistake_in_any_policy_changes_nothing_and_all_are_told() {
    let lab = Lab::start();
    let before = lab.service();
    let mistakes = mistakes();
    for (key, mistake) in mistakes.as_object().unwrap() {
        let change = json!({ (key): mistake, "timeout": if key == "timeout" { mistake } else { &Value::Null } });
        assert_eq!(keys_of(&lab.patch(&change)), [key.as_str()]);
        assert_eq!(lab.service()["overrides"], Value::Null, "{key}");
    }
    let mut told = keys_of(&lab.patch(&mistakes));
    told.sort();
    let mut all: Vec<_> = mistakes.as_object().unwrap().keys().cloned().collect();
    all.sort();
    assert_eq!(told, all);
    assert_eq!(lab.service()["policies"], before["policies"]);
    assert_eq!([0; 3].map(|_| lab.get("/a").status), [200; 3]);
}
