//! The trait of everything that can stand in the file, and the shapes that combine such things.

use crate::data::{Data, Text};
use crate::problem::Report;
use crate::yaml::{Node, Spot, Value};
use serde_json::{Map, Value as Json, json};

/// Definitions of the schema by name, each record once.
pub(crate) type Defs = Map<String, Json>;

/// A type that can be read from the file and that describes itself.
pub(crate) trait Decode: Sized {
    /// Whether `key:` with nothing behind it is a value; otherwise it counts as not written.
    const TAKES_NULL: bool = false;

    /// Reads the value; what is wrong goes into the report.
    fn decode(node: &Node, report: &mut Report) -> Option<Self>;

    /// Its JSON Schema.
    fn schema(defs: &mut Defs) -> Json;
}

/// A value that remembers where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) spot: Spot,
    pub(crate) value: T,
}

impl<T: Decode> Decode for At<T> {
    const TAKES_NULL: bool = T::TAKES_NULL;

    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        T::decode(node, report).map(|value| Self { spot: node.spot.clone(), value })
    }

    fn schema(defs: &mut Defs) -> Json {
        T::schema(defs)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::List(items) = &node.value else {
            report.push(
                node.error(format!("expected a list, found {}", node.describe()))
                    .hint("put each entry on a line of its own after \"- \""),
            );
            return None;
        };
        let sound = items.iter().filter(|item| !item.is_reported());
        Some(sound.filter_map(|item| T::decode(item, report)).collect())
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "array", "items": T::schema(defs) })
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct Many<T>(pub(crate) Vec<T>);

impl<T: Decode> Decode for Many<T> {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::List(_) => Vec::decode(node, report).map(Self),
            _ => T::decode(node, report).map(|one| Self(vec![one])),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        let one = T::schema(defs);
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// A list that says something only if it has an entry.
#[derive(Clone, Debug)]
pub(crate) struct NonEmpty<T>(pub(crate) T);

impl<T: Decode> Decode for NonEmpty<T> {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        if matches!(&node.value, Value::List(items) if items.is_empty()) {
            report.push(
                node.error("the list is empty").hint("write at least one entry, or remove the key"),
            );
            return None;
        }
        T::decode(node, report).map(Self)
    }

    fn schema(defs: &mut Defs) -> Json {
        T::schema(defs)
    }
}

/// A map whose keys are names that the file chooses, in file order.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(At<String>, T)>);

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            report.push(
                node.error(format!("expected a map of names, found {}", node.describe()))
                    .hint("write \"name: value\" pairs"),
            );
            return None;
        };
        let decoded = entries.iter().filter_map(|entry| {
            if entry.value.is_reported() {
                return None;
            }
            let path = entry.value.spot.path.clone();
            let spot = Spot { place: entry.key_place, path };
            if entry.value.is_null() && !T::TAKES_NULL {
                report.push(spot.error(format!("{:?} has no value", entry.key)));
                return None;
            }
            let value = T::decode(&entry.value, report)?;
            Some((At { spot, value: entry.key.clone() }, value))
        });
        Some(Self(decoded.collect()))
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(defs) })
    }
}

/// A shorthand, or the map that it abbreviates.
#[derive(Clone, Debug)]
pub(crate) enum ShortOr<S, L> {
    Short(S),
    Long(L),
}

impl<S: Decode, L: Decode> Decode for ShortOr<S, L> {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Map(_) => L::decode(node, report).map(Self::Long),
            _ => S::decode(node, report).map(Self::Short),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [S::schema(defs), L::schema(defs)] })
    }
}

impl Decode for Data {
    const TAKES_NULL: bool = true;

    fn decode(node: &Node, _: &mut Report) -> Option<Self> {
        Some(node.to_data())
    }

    fn schema(_: &mut Defs) -> Json {
        json!({})
    }
}

impl Decode for Text {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        let text = super::scalar::AnyText::decode(node, report)?.0;
        Some(Self { text, place: node.spot.place })
    }

    fn schema(_: &mut Defs) -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

/// The schema with a description beside it.
pub(crate) fn described(schema: Json, description: &str) -> Json {
    let mut schema = schema;
    if let Json::Object(object) = &mut schema {
        object.insert("description".to_owned(), description.into());
    }
    schema
}
