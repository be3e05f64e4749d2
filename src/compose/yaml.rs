//! A JSON value as block YAML that every compose version reads the same way.
//!
//! Strings are always double-quoted, as JSON quotes them, so that no `yes`, `22:22` or `1e3` is
//! taken for something else. Compose expands `$` in every string: text of the user's goes through
//! [`literal`] first.

use serde_json::Value;
use stitch_config::Data;

/// Text that compose must take as it is: `$` doubled.
pub(super) fn literal(text: &str) -> Value {
    Value::String(text.replace('$', "$$"))
}

/// A value of the file, taken as it is.
pub(super) fn pass(data: &Data) -> Value {
    match data {
        Data::Text(text) => literal(&text.text),
        Data::List(items) => items.iter().map(pass).collect(),
        Data::Map(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), pass(value))).collect())
        }
        Data::Null | Data::Bool(_) | Data::Number(_) => data.to_json(),
    }
}

/// The text of a document.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

/// Writes a map or list one entry per line, each line at `depth` steps of two spaces.
fn block(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                out.push_str(&indent);
                out.push_str(&key_text(key));
                out.push(':');
                nested(out, value, depth);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&indent);
                out.push('-');
                nested(out, item, depth);
            }
        }
        scalar => {
            out.push_str(&indent);
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

/// Writes what follows a `key:` or a `-`: a scalar or flow list on the same line, else a block.
fn nested(out: &mut String, value: &Value, depth: usize) {
    if is_block(value) {
        out.push('\n');
        block(out, value, depth + 1);
    } else {
        out.push(' ');
        out.push_str(&value.to_string());
        out.push('\n');
    }
}

/// Maps and lists with something in them; an empty one is written `{}` or `[]`.
fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(entries) => !entries.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// Plain where nothing else could be meant, quoted otherwise.
fn key_text(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&key.to_ascii_lowercase().as_str());
    if plain { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use stitch_config::data::Text;

    #[test]
    fn maps_and_lists_are_blocks_and_strings_are_quoted() {
        let value = json!({
            "services": { "db": { "image": "postgres:16", "ports": ["22:22"], "tty": true } },
            "volumes": {},
        });
        assert_eq!(
            document(&value),
            concat!(
                "services:\n  db:\n    image: \"postgres:16\"\n    ports:\n",
                "      - \"22:22\"\n    tty: true\nvolumes: {}\n",
            )
        );
    }

    #[test]
    fn maps_in_lists_and_awkward_keys() {
        let value = json!([{ "type": "bind", "on": 1, "a b": null }, "x\n\"y\""]);
        assert_eq!(
            document(&value),
            "-\n  type: \"bind\"\n  \"on\": 1\n  \"a b\": null\n- \"x\\n\\\"y\\\"\"\n"
        );
        assert_eq!(document(&json!("alone")), "\"alone\"\n");
    }

    #[test]
    fn dollars_of_the_user_reach_the_container() {
        let text = |text: &str| Data::Text(Text { text: text.to_owned(), ..Text::default() });
        let data = Data::Map(vec![
            ("password".to_owned(), text("a$b${C}")),
            ("list".to_owned(), Data::List(vec![text("$"), Data::Bool(true), Data::Null])),
        ]);
        assert_eq!(pass(&data), json!({ "password": "a$$b$${C}", "list": ["$$", true, null] }));
    }
}
