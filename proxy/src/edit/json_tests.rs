//! Values, paths and texts: what an edit makes of them, and that it makes nothing else of them.

use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

fn key(name: &str) -> JsonStep {
    JsonStep::Key(name.to_owned())
}

/// `a.0.*` as steps: names, indexes, every.
fn path(text: &str) -> Vec<JsonStep> {
    let step = |step: &str| match step {
        "*" => JsonStep::Every,
        _ => step.parse().map_or_else(|_| key(step), JsonStep::Index),
    };
    text.split('.').filter(|step| !step.is_empty()).map(step).collect()
}

fn written(node: &Node<'_>) -> String {
    let mut out = String::new();
    node.write(&mut out);
    out
}

/// The text after an edit, or `None` where nothing changed.
fn after(text: &str, edit: impl FnOnce(&mut Node<'_>) -> bool) -> Option<String> {
    let mut node = Node::read(text).unwrap();
    let changed = edit(&mut node);
    let out = written(&node);
    assert!(changed || out == text.trim(), "{text} became {out}");
    changed.then_some(out)
}

fn removed(text: &str, steps: &str) -> Option<String> {
    after(text, |node| node.remove(&path(steps)))
}

fn set(text: &str, steps: &str, value: &'static str) -> Option<String> {
    let mut node = Node::read(text).unwrap();
    let changed = node.set(&path(steps), value);
    changed.then(|| written(&node))
}

#[test]
fn what_is_there_is_removed() {
    for (text, steps, out) in [
        (r#"{"a":1,"b":2}"#, "a", Some(r#"{"b":2}"#)),
        (r#"{"a":{"b":[1,2,3]}}"#, "a.b.1", Some(r#"{"a":{"b":[1,3]}}"#)),
        (r#"[{"s":1,"k":1},{"k":2},3,{"s":null}]"#, "*.s", Some(r#"[{"k":1},{"k":2},3,{}]"#)),
        (r#"{"x":{"s":1},"y":{"s":2}}"#, "*.s", Some(r#"{"x":{},"y":{}}"#)),
        ("[1,2]", "*", Some("[]")),
        (r#"{"a":1}"#, "*", Some("{}")),
        (r#"{"a":1}"#, "b", None),
        (r#"{"a":1}"#, "a.b", None),
        (r#"{"a":1}"#, "0", None),
        ("[1]", "1", None),
        ("[1]", "a", None),
        ("[]", "*", None),
        ("5", "a", None),
        ("{}", "", None),
    ] {
        assert_eq!(removed(text, steps).as_deref(), out, "{text} without {steps}");
    }
}

#[test]
fn every_member_of_a_name_is_removed_however_it_is_written() {
    let text = r#"{"secret":1,"a":2,"s\u0065cret":3,"secret":4}"#;
    assert_eq!(removed(text, "secret").unwrap(), r#"{"a":2}"#);
    assert_eq!(after(r#"{"a\"b":1}"#, |node| node.remove(&[key("a\"b")])).unwrap(), "{}");
    // Half a character is nobody's name, and no reason to give up.
    assert_eq!(removed(r#"{"\ud800":1,"b":2}"#, "b").unwrap(), r#"{"\ud800":1}"#);
}

#[test]
fn a_value_replaces_what_is_there_or_is_added_with_its_way() {
    for (text, steps, value, out) in [
        (r#"{"a":1,"b":2}"#, "a", "[]", Some(r#"{"a":[],"b":2}"#)),
        (r#"{"a":1}"#, "b", "true", Some(r#"{"a":1,"b":true}"#)),
        (r#"{"a":1}"#, "b.c.0.d", "1", Some(r#"{"a":1,"b":{"c":[{"d":1}]}}"#)),
        (r#"{"a":null}"#, "a.b", "1", Some(r#"{"a":{"b":1}}"#)),
        ("null", "a", "1", Some(r#"{"a":1}"#)),
        ("null", "0", "1", Some("[1]")),
        (r#"[{"a":1},{}]"#, "*.a", "2", Some(r#"[{"a":2},{"a":2}]"#)),
        (r#"{"a":1,"a":2}"#, "a", "3", Some(r#"{"a":3,"a":3}"#)),
        ("[1,2]", "2", "3", Some("[1,2,3]")),
        ("{}", "", "[1]", Some("[1]")),
        (r#"{"a":1}"#, "a", "1", None),
        ("[1,2]", "3", "4", None),
        ("null", "1", "4", None),
        ("null", "a.*", "4", None),
        ("[]", "*", "1", None),
        ("{}", "a.*.b", "1", None),
        (r#"{"a":"text"}"#, "a.b", "1", None),
        (r#"{"a":5}"#, "a.0", "1", None),
        ("[]", "a", "1", None),
        ("{}", "0", "1", None),
    ] {
        assert_eq!(set(text, steps, value).as_deref(), out, "{steps} of {text} set to {value}");
    }
    assert_eq!(after("{}", |node| node.set(&[key("a\"\n")], "1")).unwrap(), "{\"a\\\"\\n\":1}");
}

#[test]
fn numbers_order_and_letters_stay_as_they_were() {
    let text = r#"{ "z":1e400, "big" : 12345678901234567890123, "f":1.10, "e":"\u00e9\/",
        "gone":1, "deep":{ "a" : [ 1.0, -0 ] }, "list":[0.30000000000000004,{"gone":2}] }"#;
    let mut node = Node::read(text).unwrap();
    assert!(node.remove(&path("gone")) && node.remove(&path("list.1.gone")));
    assert!(node.set(&path("new"), "1e-999") && !node.set(&path("f"), "1.10"));
    assert_eq!(
        written(&node),
        r#"{"z":1e400,"big":12345678901234567890123,"f":1.10,"e":"\u00e9\/","#.to_owned()
            + r#""deep":{ "a" : [ 1.0, -0 ] },"list":[0.30000000000000004,{}],"new":1e-999}"#
    );
}

#[test]
fn several_edits_see_each_others_work() {
    let mut node = Node::read(r#"{"a":{"b":1}}"#).unwrap();
    assert!(node.set(&path("a.c"), "{}") && node.set(&path("a.c.d"), "1"));
    assert!(node.remove(&path("a.b")));
    assert_eq!(written(&node), r#"{"a":{"c":{"d":1}}}"#);
    assert!(node.set(&path("a"), r#"{"b":1}"#));
    assert!(!node.set(&path("a"), r#"{"b":1}"#), "nothing more to change");
    assert_eq!(written(&node), r#"{"a":{"b":1}}"#);
}

#[test]
fn what_is_no_json_is_not_read() {
    for text in ["", " ", "{", "{} {}", "{\"a\":1,}", "nul", "01", "[1 2]", "\"\n\"", "{a:1}"] {
        assert!(Node::read(text).is_none(), "{text:?}");
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(removed(&deep, "0.0.0.1"), None);
}

/// JSON with white space, unique keys and numbers of moderate size.
fn texts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "null|true|false",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,5})?",
        "\"[a-z \\u00e4]{0,3}(\\\\n|\\\\u0061)?\"",
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let item = ("[ \n]?", inner).prop_map(|(space, item)| space + &item);
        let members = prop::collection::btree_map("[abc]|ä", item.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{} ]", items.join(","))),
            members.prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{ {}}}", members.collect::<Vec<_>>().join(" ,"))
            }),
        ]
    })
}

fn steps() -> impl Strategy<Value = Vec<JsonStep>> {
    let step = prop_oneof![
        4 => "[abc]|ä".prop_map(JsonStep::Key),
        2 => (0_usize..4).prop_map(JsonStep::Index),
        1 => Just(JsonStep::Every),
    ];
    prop::collection::vec(step, 0..5)
}

/// Everything that a path leads to.
fn get<'j>(json: &'j Json, steps: &[JsonStep]) -> Vec<&'j Json> {
    let Some((step, rest)) = steps.split_first() else { return vec![json] };
    let next: Vec<&Json> = match (json, step) {
        (Json::Object(members), JsonStep::Key(name)) => members.get(name).into_iter().collect(),
        (Json::Object(members), JsonStep::Every) => members.values().collect(),
        (Json::Array(items), JsonStep::Index(index)) => items.get(*index).into_iter().collect(),
        (Json::Array(items), JsonStep::Every) => items.iter().collect(),
        _ => vec![],
    };
    next.into_iter().flat_map(|json| get(json, rest)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..<_>::default() })]

    /// Text that may be anything, and near misses of JSON.
    #[test]
    fn no_text_and_no_path_can_make_it_panic(
        text in prop_oneof![any::<String>(), "[\\[\\]{}\",:a0-9\\\\u.e+ -]{0,30}"],
        edits in prop::collection::vec((any::<bool>(), steps()), 0..4),
    ) {
        if let Some(mut node) = Node::read(&text) {
            for (remove, steps) in edits {
                if remove { node.remove(&steps); } else { node.set(&steps, "{\"a\":[1]}"); }
            }
            prop_assert!(serde_json::from_str::<&RawValue>(&written(&node)).is_ok());
        }
    }

    #[test]
    fn an_edit_that_changes_nothing_leaves_every_byte(
        text in texts(), edits in prop::collection::vec((any::<bool>(), steps()), 1..4),
    ) {
        let mut node = Node::read(&text).unwrap();
        let mut changed = false;
        for (remove, steps) in &edits {
            changed |= if *remove { node.remove(steps) } else { node.set(steps, "7.50") };
        }
        if changed {
            let out = written(&node);
            prop_assert!(serde_json::from_str::<Json>(&out).is_ok(), "{text} became {out}");
        } else {
            prop_assert_eq!(written(&node), text);
        }
    }

    #[test]
    fn what_was_set_is_found_and_setting_it_again_changes_nothing(text in texts(), steps in steps()) {
        const VALUE: &str = "{\"set\":[7.50]}";
        let mut node = Node::read(&text).unwrap();
        let changed = node.set(&steps, VALUE);
        let out = written(&node);
        let json: Json = serde_json::from_str(&out).unwrap();
        let found = get(&json, &steps);
        if changed {
            let value: Json = serde_json::from_str(VALUE).unwrap();
            prop_assert!(!found.is_empty(), "{text} became {out}");
            prop_assert!(found.iter().all(|found| **found == value), "{text} became {out}");
        } else {
            prop_assert!(found.is_empty(), "{text} was not changed");
        }
        let again = Node::read(&out).unwrap().set(&steps, VALUE);
        prop_assert!(!again, "{out} changed again");
    }

    #[test]
    fn what_was_removed_is_gone_and_nothing_else_is(text in texts(), name in "[abc]") {
        let mut node = Node::read(&text).unwrap();
        let steps = [JsonStep::Every, JsonStep::Key(name.clone())];
        let before: Json = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(node.remove(&steps), !get(&before, &steps).is_empty());
        let after: Json = serde_json::from_str(&written(&node)).unwrap();
        let mut expected = before;
        let parts: Vec<&mut Json> = match &mut expected {
            Json::Object(members) => members.values_mut().collect(),
            Json::Array(items) => items.iter_mut().collect(),
            _ => vec![],
        };
        for part in parts {
            part.as_object_mut().map(|members| members.shift_remove(&name));
        }
        prop_assert_eq!(after, expected);
    }
}
