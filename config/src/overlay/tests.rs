//! Merging, differences and the text of an overlay file.

use super::apply::json_as_yaml;
use super::written::Tree;
use super::{Level, Values, is_overlay, merge, path_of, persisted};
use crate::problem::Report;
use crate::yaml::{self, Node, Scalar, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

fn node(text: &str) -> Node {
    let mut report = Report::default();
    let node = yaml::parse(text, 0, None, &mut report);
    assert!(!report.has_errors(), "{text}: {:?}", report.sorted());
    node.unwrap()
}

fn merged(target: &Json, patch: &Json) -> Json {
    let wrap = |value: &Json| node(&json_as_yaml(&json!({ "x": value }).to_string()));
    let (mut target, patch) = (wrap(target), wrap(patch));
    let (Value::Map(entries), Value::Map(patch)) = (&mut target.value, patch.value) else {
        unreachable!("both are maps")
    };
    merge(entries, patch);
    Tree::of(&target, false).to_json()["x"].clone()
}

#[test]
fn maps_merge_and_everything_else_replaces() {
    // The examples of RFC 7396, appendix A, as far as the top is a map.
    for (target, patch, result) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a":"b"}), json!(["c"]), json!(["c"])),
        (json!({"a":"foo"}), json!("bar"), json!("bar")),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
    ] {
        assert_eq!(merged(&target, &patch), result, "{target} with {patch}");
    }
}

#[test]
fn an_overlay_lies_beside_its_file() {
    for (file, overlay) in [
        ("stitch.yaml", "stitch.overlay.yaml"),
        ("deep/services.yml", "deep/services.overlay.yml"),
        ("/a.b/c.d.yaml", "/a.b/c.d.overlay.yaml"),
        ("stitch", "stitch.overlay"),
    ] {
        assert_eq!(path_of(Path::new(file)), Path::new(overlay));
    }
    assert!(!is_overlay(Path::new("nowhere/stitch.overlay.yaml")), "there is no stitch.yaml");
}

fn no_env(_: &str) -> Option<String> {
    None
}

#[test]
fn what_came_from_the_environment_is_not_written_down() {
    let env = |_: &str| Some("hunter2".to_owned());
    let before =
        "services:\n  a:\n    health:\n      path: ${P}\n      grpc: ${G}\n    mode: ${M}\n";
    let in_force = "services: { a: { health: { path: hunter2, grpc: other }, mode: hunter2 } }";
    let values = Values { in_force: level(in_force), ..Values::default() };
    let keys = ["health", "mode"].map(str::to_owned);
    let text = persisted(Some(before), &env, &values, "a", &keys).unwrap();
    assert!(
        text.ends_with("    health:\n      path: ${P}\n      grpc: \"other\"\n    mode: ${M}\n"),
        "{text}"
    );
}

fn level(text: &str) -> Arc<Level> {
    Arc::new(Level::of([&node(text)]))
}

#[test]
fn what_is_persisted_is_the_difference_to_the_file() {
    let values = Values {
        files: level("services: { a: { timeout: { connect: 1s, request: 5s }, mode: real } }"),
        in_force: level("services: { a: { timeout: { connect: 1s, idle: 9s } } }"),
        ..Values::default()
    };
    let keys = ["timeout", "mode", "compression"].map(str::to_owned);
    let text = persisted(None, &no_env, &values, "a", &keys).unwrap();
    assert!(text.starts_with("# Changes of policies"), "{text}");
    let body: String =
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(
        body,
        "services:\n  a:\n    timeout:\n      idle: \"9s\"\n      request: null\n    mode: null"
    );
}

#[test]
fn what_an_overlay_says_of_other_things_stays() {
    let before = "services:\n  b:\n    timeout: ${B:-5s}\n  a:\n    mode: mock\n    timeout: $${x}\n    \
                  compression: \"${not a variable}\"\n";
    let values = Values { in_force: level("services: { a: { mode: real } }"), ..Values::default() };
    let text = persisted(Some(before), &no_env, &values, "a", &["mode".to_owned()]).unwrap();
    for line in [
        "    timeout: ${B:-5s}",
        "    mode: \"real\"",
        "    timeout: $${x}",
        "    compression: \"${not a variable}\"",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
    }
}

#[test]
fn nothing_is_left_of_an_overlay_that_says_nothing() {
    let same = level("services: { a: { mode: real } }");
    let values = Values { files: same.clone(), in_force: same, ..Values::default() };
    let before = "services: { a: { mode: mock } }";
    assert_eq!(persisted(Some(before), &no_env, &values, "a", &["mode".to_owned()]), None);
}

/// JSON of some depth, with everything that is hard to write.
fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,6}|[ -~\\n\\t#:{}\\[\\]'\"$&*!|>%@`\u{85}\u{2028}\u{feff}\u{7f}]{0,8}"
            .prop_map(Json::from),
        Just(json!("null")),
        Just(json!("1.50")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec(("[a-d<\u{e9} .:#]{1,3}", inner), 0..4)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

fn written(value: &Json) -> Tree {
    match value {
        Json::Null => Tree::Null,
        Json::Bool(_) | Json::Number(_) => Tree::Scalar(Scalar::plain(value.to_string())),
        Json::String(text) => Tree::Scalar(Scalar::quoted(text.clone())),
        Json::Array(items) => Tree::List(items.iter().map(written).collect()),
        Json::Object(entries) => {
            Tree::Map(entries.iter().map(|(key, value)| (key.clone(), written(value))).collect())
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        let value = json!({ "x": value });
        let text = written(&value).to_yaml();
        prop_assert_eq!(Tree::of(&node(&text), false).to_json(), value, "{}", text);
    }

    #[test]
    fn a_difference_leads_from_one_to_the_other(from in values(), to in values()) {
        match Tree::difference(Some(&written(&from)), Some(&written(&to))) {
            Some(patch) => prop_assert_eq!(written(&merged(&from, &patch.to_json())), written(&to)),
            None => prop_assert_eq!(written(&from), written(&to)),
        }
    }
}
