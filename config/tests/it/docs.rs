//! The reference: every key is named in it, and every example of every page works.

use super::include::Folder;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use stitch_config::{Loaded, load};

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

/// What a page's block of the overlay file is laid over.
const UNDER_THE_OVERLAY: &str = "services: { users: { url: http://localhost:8000 } }\n";

#[test]
fn every_example_of_every_page_loads() {
    let mut examples = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (number, example) in blocks(&text).into_iter().enumerate() {
            let which = format!("block {} of {}", number + 1, page.display());
            let loaded = match example.starts_with("# stitch.overlay.yaml") {
                true => over_a_file(example),
                false => super::read(example),
            };
            let report = loaded.report.render(&loaded.sources);
            assert!(!loaded.report.has_errors(), "{which}:\n{report}");
            examples += 1;
        }
    }
    assert!(examples >= 30, "only {examples} examples");
}

/// The pages of the documentation, and the first one.
fn pages() -> Vec<PathBuf> {
    let files = fs::read_dir("../docs").unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|is| is == "md")).collect();
    pages.push("../README.md".into());
    pages.sort();
    pages
}

fn blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).map(|after| after.split("```").next().unwrap()).collect()
}

fn over_a_file(overlay: &str) -> Loaded {
    let folder = Folder::new("docs-overlay");
    let main = folder.write("stitch.yaml", UNDER_THE_OVERLAY);
    folder.write("stitch.overlay.yaml", overlay);
    load(&main, &super::env)
}

#[test]
fn no_key_has_two_rows_in_a_table() {
    let reference = reference();
    let mut keys: Vec<&str> = Vec::new();
    for line in reference.lines() {
        match line.strip_prefix("| `").and_then(|row| row.split(" |").next()) {
            Some(key) => {
                assert!(!keys.contains(&key), "there are two rows of `{key}");
                keys.push(key);
            }
            None if !line.starts_with('|') => keys.clear(),
            None => {}
        }
    }
}

#[test]
fn the_index_names_every_page() {
    let index = fs::read_to_string("../README.md").unwrap();
    for page in pages().iter().filter_map(|page| page.strip_prefix("../docs").ok()) {
        let link = format!("(docs/{}", page.display());
        assert!(index.contains(&link), "README.md has no link to {}", page.display());
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
