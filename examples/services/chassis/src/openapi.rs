//! Keeps a service's OpenAPI document and its route table the same.
//!
//! The document is written by hand, as JSON, next to the code; a test in each service asks for the drift.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

/// The methods a path item of OpenAPI can hold; its other keys are not operations.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What differs between `document` and `routes`: an operation missing on either side, a `$ref` to nowhere.
pub fn drift(document: &str, routes: &[(Method, &str)]) -> Vec<String> {
    let document: Value = match serde_json::from_str(document) {
        Ok(document) => document,
        Err(error) => return vec![format!("the document is not JSON: {error}")],
    };
    let written: BTreeSet<String> =
        operations(&document).map(|(method, path, _)| named(method, path)).collect();
    let served: BTreeSet<String> =
        routes.iter().map(|(method, path)| named(method.as_str(), path)).collect();
    let mut drift: Vec<String> = Vec::new();
    drift.extend(
        served.difference(&written).map(|route| format!("{route} is served and not documented")),
    );
    drift.extend(
        written.difference(&served).map(|route| format!("{route} is documented and not served")),
    );
    dangling(&document, &document, &mut drift);
    drift
}

fn named(method: &str, path: &str) -> String {
    format!("{} {path}", method.to_ascii_uppercase())
}

/// Every operation: method, path and what the document says about it.
pub(crate) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| Some((*method, path.as_str(), item.get(*method)?)))
    })
}

fn dangling(document: &Value, node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#');
                if pointer.and_then(|pointer| document.pointer(pointer)).is_none() {
                    found.push(format!("`{target}` leads nowhere"));
                }
            }
            fields.values().for_each(|value| dangling(document, value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| dangling(document, value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r##"{"paths": {
        "/a": {"summary": "not an operation", "get": {}, "post": {"x": [{"$ref": "#/paths/~1a/get"}]}},
        "/b": {"put": {"x": {"$ref": "#/nowhere"}}}
    }}"##;

    #[test]
    fn both_directions_and_dangling_references_are_reported() {
        let routes = [(Method::GET, "/a"), (Method::POST, "/a"), (Method::GET, "/c")];
        assert_eq!(
            drift(DOCUMENT, &routes),
            [
                "GET /c is served and not documented",
                "PUT /b is documented and not served",
                "`#/nowhere` leads nowhere",
            ]
        );
    }

    #[test]
    fn a_document_that_is_not_json_is_a_drift_too() {
        assert_eq!(drift("{", &[]).len(), 1);
    }
}
