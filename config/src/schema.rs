//! The JSON Schema of the file, from the same declarations that read it.

use crate::decode::{Decode as _, Defs};
use crate::raw::RawFile;
use serde_json::{Value as Json, json};

/// JSON Schema (2020-12) of everything that can be written today. Keys that are refused as not
/// supported yet are not in it.
pub fn schema() -> Json {
    let mut definitions = Defs::new();
    let root = RawFile::schema(&mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ServiceStitch",
        "$ref": root["$ref"],
        "$defs": definitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_has_a_definition_and_every_key_a_description() {
        let schema = schema();
        let text = schema.to_string();
        let definitions = schema["$defs"].as_object().unwrap();
        for reference in text.split("\"#/$defs/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
        for (name, definition) in definitions {
            assert_eq!(definition["additionalProperties"], false, "{name}");
            for (key, property) in definition["properties"].as_object().unwrap() {
                let description = property["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{name}.{key}");
            }
        }
    }

    #[test]
    fn required_and_planned_keys() {
        let schema = schema();
        assert_eq!(schema["$defs"]["Endpoint"]["required"], json!(["path"]));
        assert_eq!(schema["$defs"]["Service"]["properties"]["faults"], Json::Null);
        assert_eq!(
            schema["$defs"]["Endpoint"]["properties"]["method"]["anyOf"][1]["type"],
            "array"
        );
    }
}
