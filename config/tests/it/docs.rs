//! The reference: every key is named in it, and every example in it works.

use serde_json::Value;
use std::fs;

fn reference() -> String {
    fs::read_to_string("../docs/configuration.md").unwrap()
}

#[test]
fn every_key_of_the_schema_is_named() {
    let reference = reference();
    let schema = stitch_config::schema();
    let definitions = schema["$defs"].as_object().unwrap();
    assert!(definitions.len() > 10, "only {} records", definitions.len());
    for (name, definition) in definitions {
        for key in definition["properties"].as_object().unwrap().keys() {
            // In a table as `key`, `parent.key`, `parent[].key`, or as the parent of others.
            let named = [format!("`{key}`"), format!(".{key}`"), format!("`{key}.")];
            assert!(named.iter().any(|spelling| reference.contains(spelling)), "{name}.{key}");
        }
    }
}

#[test]
fn every_example_loads() {
    let reference = reference();
    let examples: Vec<_> = reference
        .split("```yaml\n")
        .skip(1)
        .map(|after| after.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 6, "only {} examples", examples.len());
    for example in examples {
        super::config(example);
    }
}

#[test]
fn the_schema_knows_what_the_examples_use() {
    let schema = stitch_config::schema();
    let service = &schema["$defs"]["Service"]["properties"];
    assert_eq!(service["faults"], Value::Null, "planned keys are not in it");
    assert!(service["timeout"]["anyOf"].is_array(), "{}", service["timeout"]);
    assert_eq!(schema["$defs"]["Route"]["required"][0], "match");
}
