//! Changes over the files: the overlay file, changes at run time, their places, and what they may
//! not say.

use super::env;
use super::include::Folder;
use std::fs;
use std::time::Duration;
use stitch_config::model::{Mode, Setting};
use stitch_config::overlay::{Change, Changes, What};
use stitch_config::watch::Fingerprint;
use stitch_config::{Loaded, load, load_with, masked};

const MAIN: &str = "include: ['*.yaml']\n\
    defaults: { timeout: 9s }\n\
    services:\n  a: { url: http://localhost:1, endpoints: [{ path: / }], timeout: { connect: 1s, request: 5s } }\n";
const PART: &str = "services: { b: { url: http://localhost:2 } }\n";

fn folder(name: &str, overlay: &str) -> (Folder, Loaded) {
    let folder = Folder::new(name);
    let main = folder.write("stitch.yaml", MAIN);
    folder.write("part.yaml", PART);
    folder.write("stitch.overlay.yaml", overlay);
    let loaded = load(&main, &env);
    (folder, loaded)
}

fn report(loaded: &Loaded) -> String {
    loaded.report.render(&loaded.sources)
}

fn patch(service: &str, text: &str) -> Change {
    let what = What::Patch(text.to_owned());
    Change { name: "the patch".to_owned(), service: service.to_owned(), what }
}

fn run_time(folder: &Folder, changes: &[Change]) -> Loaded {
    let changes = Changes { run_time: changes.to_vec(), ..Changes::default() };
    load_with(&folder.0.join("stitch.yaml"), &env, &changes)
}

#[test]
fn an_overlay_changes_services_of_every_file() {
    let (folder, loaded) = folder(
        "overlay-merge",
        "services:\n  a: { timeout: { request: null, idle: 7s }, mode: real }\n  b: { compression: true, timeout: 3s }\n",
    );
    assert!(!loaded.report.has_errors(), "{}", report(&loaded));
    let seconds = Duration::from_secs;
    let a = loaded.config.service("a").unwrap();
    assert_eq!(a.mode, Mode::Real);
    let timeout = a.timeout;
    assert_eq!((timeout.connect, timeout.idle), (seconds(1), seconds(7)), "key by key");
    assert_eq!(timeout.request, Some(seconds(9)), "without the key the default is back");
    let b = loaded.config.service("b").unwrap();
    assert_eq!(b.timeout.request, Some(seconds(3)));
    assert_eq!(b.policies.compression, Setting::On(()));
    assert_eq!(loaded.overlay, Some(folder.0.join("stitch.overlay.yaml")));
    let paths: Vec<_> = loaded.sources.paths().filter_map(|path| path.file_name()).collect();
    assert_eq!(paths, ["stitch.yaml", "part.yaml", "stitch.overlay.yaml"], "it is no include");
}

#[test]
fn mistakes_are_told_where_they_stand_in_the_overlay() {
    let (_folder, loaded) = folder(
        "overlay-mistakes",
        "vars: { x: 1 }\n\
         services:\n  \
           a:\n    timeout: { request: soon }\n    url: http://localhost:3\n    tiemout: 3s\n    undeclared: warn\n  \
           bb: { mode: real }\n  \
           b: { mode: mock }\n  \
           c:\n",
    );
    let text = report(&loaded);
    for told in [
        "\"vars\" cannot stand in an overlay file\n",
        "stitch.overlay.yaml:1:1\n",
        "stitch.overlay.yaml:4:25\n",
        "4 |     timeout: { request: soon }\n  |                         ^^^^ services.a.timeout.request\n",
        "\"url\" cannot be changed over the file\n",
        "what can be: timeout, ",
        "unknown key \"tiemout\" in the changes of a service\n",
        "did you mean \"timeout\"?",
        "stitch.overlay.yaml:7:5\n",
        "unknown service \"bb\"\n",
        "did you mean \"b\"?",
        "the mode mock needs a mock",
        "stitch.overlay.yaml:9:14\n",
        "expected a map for the changes of \"c\"",
    ] {
        assert!(text.contains(told), "nothing like {told:?} in\n{text}");
    }
    assert_eq!(loaded.report.errors(), 8, "{text}");
}

#[test]
fn an_overlay_that_is_no_yaml_or_of_another_shape_is_a_problem() {
    for (overlay, told) in [
        ("services: [", "this is not YAML"),
        ("- a", "expected a map for an overlay file"),
        ("services: [a]", "expected a map for services"),
    ] {
        let (_folder, loaded) = folder("overlay-shape", overlay);
        let text = report(&loaded);
        assert!(text.contains(told) && text.contains("stitch.overlay.yaml:1:"), "{text}");
    }
}

#[test]
fn changes_at_run_time_come_last_and_are_reported_in_their_own_text() {
    let (folder, loaded) =
        folder("overlay-run-time", "services: { a: { mode: real, timeout: 3s } }");
    assert!(!loaded.report.has_errors(), "{}", report(&loaded));
    let set = |key: &str, value| Change {
        name: format!("change of {key}"),
        service: "a".to_owned(),
        what: What::Set(key.to_owned(), value),
    };
    let mode = loaded.values.files.get("a", "mode").cloned();
    let timeout = loaded.values.files.get("a", "timeout").cloned();
    let changes = [
        set("mode", mode),
        set("timeout", timeout),
        patch("a", "{\n\t\"timeout\": {\"connect\": \"2s\"}}"),
    ];
    let loaded = run_time(&folder, &changes);
    assert!(!loaded.report.has_errors(), "{}", report(&loaded));
    let a = loaded.config.service("a").unwrap();
    assert_eq!(a.mode, Mode::MockThenReal, "as if the file had no mode");
    assert_eq!(a.timeout.request, Some(Duration::from_secs(5)), "the value of the file again");
    assert_eq!(a.timeout.connect, Duration::from_secs(2), "with the patch over it");
    let json = |level: &stitch_config::overlay::Level| level.get("a", "timeout").unwrap().to_json();
    assert_eq!(json(&loaded.values.with_overlay), "3s");
    assert_eq!(json(&loaded.values.in_force)["connect"], "2s");

    let wrong =
        "{\"timeout\": {\"request\": 5, \"connct\": \"1s\"},\n \"port\": 1, \"mode\": \"odd\"}";
    let loaded = run_time(&folder, &[patch("a", wrong)]);
    let problems: Vec<_> = loaded
        .report
        .sorted()
        .into_iter()
        .map(|problem| {
            let place = problem.place;
            assert_eq!(loaded.sources.path(place).unwrap().to_str(), Some("the patch"));
            (place.line, place.column, problem.path.as_str())
        })
        .collect();
    assert_eq!(
        problems,
        [
            (1, 25, "services.a.timeout.request"),
            (1, 28, "services.a.timeout.connct"),
            (2, 2, "services.a.port"),
            (2, 21, "services.a.mode"),
        ]
    );
    let twice = run_time(&folder, &[patch("a", "{\"mode\": \"real\", \"mode\": \"real\"}")]);
    assert!(report(&twice).contains("services.a"), "{}", report(&twice));
}

#[test]
fn a_broken_file_is_not_blamed_on_its_overlay() {
    let folder = Folder::new("overlay-broken");
    let main = folder.write("stitch.yaml", "include: part.yaml\nservices: {}");
    folder.write("part.yaml", "services: [");
    folder.write("stitch.overlay.yaml", "services: { a: { mode: real } }");
    let loaded = load(&main, &env);
    assert_eq!(loaded.report.errors(), 1, "{}", report(&loaded));
    folder.write("stitch.yaml", "services: [");
    let loaded = load(&main, &env);
    assert_eq!(loaded.report.errors(), 1, "{}", report(&loaded));
}

#[test]
fn an_overlay_is_watched_but_not_what_its_owner_wrote() {
    let folder = Folder::new("overlay-watch");
    let main = folder.write("stitch.yaml", MAIN);
    let mut fingerprint = Fingerprint::take(&load(&main, &env));
    assert!(!fingerprint.changed());
    let text = "services: { a: { mode: real } }";
    let overlay = folder.write("stitch.overlay.yaml", text);
    assert!(fingerprint.changed(), "it has arrived");
    fingerprint.overlay_written(Some(text));
    assert!(!fingerprint.changed(), "it is known");
    folder.write("stitch.overlay.yaml", "services: { a: { mode: mock } }");
    assert!(fingerprint.changed(), "somebody else wrote it");
    fingerprint.overlay_written(Some(text));
    assert!(fingerprint.changed(), "what was written is not what is there");
    let mut fingerprint = Fingerprint::take(&load(&main, &env));
    fs::remove_file(overlay).unwrap();
    assert!(fingerprint.changed(), "it is gone");
    fingerprint.overlay_written(None);
    assert!(!fingerprint.changed(), "as was known");
}

#[test]
fn secrets_of_changes_are_masked() {
    let value = serde_json::json!({
        "request": { "set": { "authorization": "Bearer x", "x-env": "dev" } },
    });
    let shown = masked("headers", &value);
    assert_eq!(shown["request"]["set"]["authorization"], "***");
    assert_eq!(shown["request"]["set"]["x-env"], "dev");
    let value = serde_json::json!({ "basic": { "users": ["anna:hunter2"] } });
    assert!(!masked("auth", &value).to_string().contains("hunter2"));
}
