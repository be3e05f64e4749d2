//! Tests of the tree builder: aliases, duplicates, depth, broken text.

use super::{Node, Value, parse};
use crate::problem::Report;
use std::fmt::Write as _;

fn read(text: &str) -> (Option<Node>, Report) {
    let mut report = Report::default();
    let env = |name: &str| (name == "PORT").then(|| "8001".to_owned());
    let root = parse(text, 0, Some(&env), &mut report);
    (root, report)
}

fn json(text: &str) -> String {
    let (root, report) = read(text);
    assert!(!report.has_errors(), "{report:?}");
    root.unwrap().to_data().to_json().to_string()
}

#[track_caller]
fn refuses(text: &str, part: &str, line: u32) {
    let (_, report) = read(text);
    let found = report.sorted();
    assert!(
        found.iter().any(|problem| problem.message.contains(part) && problem.place.line == line),
        "{text:?} gives {found:?}"
    );
}

#[test]
fn the_tree_keeps_order_and_types() {
    assert_eq!(
        json("b: [1, two, true, ~]\na: {x: \"1\", y: }\nc: |\n  l1\n  l2\n"),
        r#"{"b":[1,"two",true,null],"a":{"x":"1","y":null},"c":"l1\nl2\n"}"#
    );
}

#[test]
fn variables_expand_in_plain_scalars_only_and_are_typed_afterwards() {
    assert_eq!(
        json("a: ${PORT}\nb: \"${PORT}\"\nc: '${PORT}'\nd: x${PORT}\ne: |\n  ${PORT}\n${PORT}: k"),
        r#"{"a":8001,"b":"${PORT}","c":"${PORT}","d":"x8001","e":"${PORT}\n","${PORT}":"k"}"#
    );
    let (_, report) = read("a:\n  - b: ${NOPE}\n");
    let problem = report.sorted()[0];
    assert_eq!((problem.path.as_str(), problem.place.column), ("a[0].b", 8));
}

#[test]
fn paths_and_places_name_every_value() {
    let (root, _) = read("services:\n  users:\n    url: x\n  \"a.b\": [1]\n");
    let Value::Map(top) = root.unwrap().value else { unreachable!("a map was written") };
    let Value::Map(services) = &top[0].value.value else { unreachable!("a map was written") };
    assert_eq!(&*services[0].value.spot.path, "services.users");
    assert_eq!(services[0].value.spot.place.line, 2, "a block is pointed at by its key");
    assert_eq!(&*services[1].value.spot.path, "services[\"a.b\"]");
}

#[test]
fn files_of_other_systems_read_the_same() {
    assert_eq!(json("\u{feff}a: 1\r\nb:\r\n  - x\r\n"), r#"{"a":1,"b":["x"]}"#);
    let (_, report) = read("\u{feff}a: 1\r\nb: ${NOPE}\r\n");
    let place = report.sorted()[0].place;
    assert_eq!((place.line, place.column), (2, 4));
}

#[test]
fn aliases_repeat_and_tags_of_text_are_kept() {
    assert_eq!(json("a: &x {k: [1]}\nb: *x\n"), r#"{"a":{"k":[1]},"b":{"k":[1]}}"#);
    assert_eq!(json("a: !!str 5\nb: ! 6\nc: !!int 7\n"), r#"{"a":"5","b":"6","c":7}"#);
}

#[test]
fn aliases_that_multiply_are_bounded() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        let list = vec![alias; 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{list}]").unwrap();
    }
    refuses(&text, "more than 250000 values", 6);
}

#[test]
fn nesting_is_bounded_with_and_without_aliases() {
    let deep = format!("a: {}{}", "[".repeat(80), "]".repeat(80));
    refuses(&deep, "deeper than 64", 1);
    let (open, close) = ("[".repeat(40), "]".repeat(40));
    let text = format!("a: &x {open}{close}\nb: {open}*x{close}\n");
    refuses(&text, "deeper than 64", 2);
    let block: String = (0..80).map(|level| format!("{}k:\n", " ".repeat(level))).collect();
    refuses(&block, "deeper than 64", 65);
}

#[test]
fn mistakes_of_form_are_named() {
    refuses("", "the file is empty", 0);
    refuses("# only a comment\n", "the file is empty", 0);
    refuses("---\n", "the file is empty", 0);
    refuses("a: 1\nb: 2\na: 3\n", "the key \"a\" stands twice in one map, first in line 1", 3);
    refuses("a: 1\n---\nb: 2\n", "second document", 2);
    refuses("a: *nope\n", "anchor &nope does not exist", 1);
    refuses("a: &x\n  b: *x\n", "inside the value it repeats", 2);
    refuses("a: &x {k: 1}\nb:\n  <<: *x\n", "merge keys", 3);
    refuses("{a: 1}: 2\n", "a key must be text", 1);
    refuses("a: &x k\n*x : 2\n", "cannot be a key", 2);
    refuses("a: !secret x\n", "the tag !secret is not known", 1);
    refuses("a:\n\tb: 1\n", "not YAML", 2);
    refuses("a: \"open\nb: 2\n", "not YAML", 2);
    refuses("a: {b: 1\n", "not YAML", 1);
    refuses("a: b: c\n", "not YAML", 1);
}
