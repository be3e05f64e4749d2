//! JSON-like data from the file, with the place of every string.
//!
//! Bodies, event payloads and `vars` are data: key order is kept, and strings may hold templates
//! whose mistakes must be reported where they stand.

use crate::place::Place;

/// A value as written in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false` (YAML 1.2: nothing else is a boolean).
    Bool(bool),
    /// A number, integer or not.
    Number(serde_json::Number),
    /// Text, perhaps a template.
    Text(Text),
    /// A list.
    List(Vec<Data>),
    /// A map; keys in file order.
    Map(Vec<(String, Data)>),
}

/// A string and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The string.
    pub text: String,
    /// Its place, for template errors.
    pub place: Place,
}

impl Data {
    /// The same value without places.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::Text(text) => Value::String(text.text.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries) => Value::Object(
                entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
            ),
        }
    }
}
