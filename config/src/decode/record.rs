//! `record!`: one declaration that decodes a map, refuses foreign keys and writes the schema.

use super::examples;
use super::field::{Decode, Defs};
use super::later::Later;
use crate::near;
use crate::problem::Report;
use crate::yaml::{Entry, Kind, Node, Scalar, Spot, Value};
use serde_json::{Value as Json, json};

/// Declares a record of the file.
///
/// Each field reads `"key" => name: Type`, or `"key" required => name: Type`; the struct holds an
/// `Option` of every type, so that a record with mistakes still yields the rest of its fields.
/// Doc comments become descriptions in the schema. `later:` lists keys that are refused as not
/// supported yet.
macro_rules! record {
    (
        $(#[doc = $about:literal])*
        $name:ident ($title:literal) {
            $( $(#[doc = $doc:literal])* $key:literal $($need:ident)? => $field:ident : $kind:ty, )*
        }
        $( later: $($later:expr),+ )?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])* pub(crate) $field: Option<$kind>, )*
            pub(crate) written: Vec<&'static str>,
        }

        impl $crate::decode::Record for $name {
            const KEYS: &'static [&'static str] = &[$($key),*];

            fn written(&self) -> &[&'static str] {
                &self.written
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                node: &$crate::yaml::Node,
                report: &mut $crate::problem::Report,
            ) -> Option<Self> {
                let later: &[&[$crate::decode::Later]] = &[$( $($later),+ )?];
                let entries =
                    $crate::decode::known_keys(node, $title, &[$($key),*], later, report)?;
                Some(Self {
                    $( $field: $crate::decode::field(
                        node, entries, $key, !<[&str]>::is_empty(&[$(stringify!($need))?]), report,
                    ), )*
                    written: $crate::decode::written(entries, &[$($key),*]),
                })
            }

            fn schema(defs: &mut $crate::decode::Defs) -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                let mut required: Vec<&str> = Vec::new();
                $(
                    let schema = <$kind as $crate::decode::Decode>::schema(defs);
                    let description = [$($doc),*].map(str::trim).join(" ");
                    let schema = $crate::decode::described(schema, &description);
                    properties.insert($key.to_owned(), schema);
                    required.extend([$(stringify!($need))?].map(|_: &str| $key));
                )*
                let about = [$($about),*].map(str::trim).join(" ");
                $crate::decode::object_schema(
                    defs, stringify!($name), &about, &properties, &required,
                )
            }
        }
    };
}
pub(crate) use record;

/// What every record knows besides its fields.
pub(crate) trait Record {
    /// Every key of its own; those of later capabilities are none.
    const KEYS: &'static [&'static str];

    /// The keys that have a value in the file, right or wrong.
    fn written(&self) -> &[&'static str];

    /// Whether the key has a value in the file; a wrong one has been reported and is not missing.
    fn has(&self, key: &str) -> bool {
        self.written().contains(&key)
    }
}

/// Those of the keys that have a value.
pub(crate) fn written(entries: &[Entry], keys: &[&'static str]) -> Vec<&'static str> {
    let has = |key: &&str| entries.iter().any(|entry| entry.key == **key && !entry.value.is_null());
    keys.iter().copied().filter(has).collect()
}

/// The entries of a map, after keys that do not belong there have been reported.
pub(crate) fn known_keys<'n>(
    node: &'n Node,
    title: &str,
    keys: &[&'static str],
    later: &[&[Later]],
    report: &mut Report,
) -> Option<&'n [Entry]> {
    let Value::Map(entries) = &node.value else {
        let hint = examples::hint(&node.spot.path);
        report.push(
            node.error(format!("expected a map for {title}, found {}", node.describe()))
                .hint(hint.unwrap_or_else(|| format!("known keys: {}", keys.join(", ")))),
        );
        return None;
    };
    for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
        let (key, path) = (entry.key.as_str(), &entry.value.spot.path);
        let planned = later.iter().copied().flatten().find(|(name, _)| *name == key);
        report.push(match planned {
            Some((_, capability)) => capability.refuse(key).at(entry.key_place, path),
            // The parser has refused merge keys already.
            None if key == "<<" => continue,
            None => Spot { place: entry.key_place, path: path.clone() }
                .error(format!("unknown key {key:?} in {title}"))
                .hint(near::suggest("keys", key, keys.iter().copied())),
        });
    }
    Some(entries)
}

/// One field of a record.
pub(crate) fn field<T: Decode>(
    node: &Node,
    entries: &[Entry],
    key: &str,
    required: bool,
    report: &mut Report,
) -> Option<T> {
    match entries.iter().find(|entry| entry.key == key) {
        Some(entry) if entry.value.is_reported() => None,
        Some(entry) if !entry.value.is_null() || T::TAKES_NULL => value(&entry.value, report),
        Some(entry) if required => {
            report.push(entry.value.error(format!("{key:?} has no value")));
            None
        }
        None if required => {
            report.push(node.error(format!("{key:?} is missing")));
            None
        }
        _ => None,
    }
}

/// The value of a field; a wrong one of which nothing better is known gets an example.
fn value<T: Decode>(node: &Node, report: &mut Report) -> Option<T> {
    let value = T::decode(node, report);
    if value.is_none()
        && let Some(problem) = report.last_mut().filter(|last| *last.path == *node.spot.path)
        && (problem.hint.is_none() || is_bool(node))
        && let Some(example) = examples::hint(&node.spot.path)
    {
        problem.hint = Some(example);
    }
    value
}

/// Who writes `true` wants the policy, and needs no advice about `true`.
fn is_bool(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(Scalar { kind: Kind::Bool(_), .. }))
}

/// Puts a record under `$defs` and gives the reference to it.
pub(crate) fn object_schema(
    defs: &mut Defs,
    name: &str,
    about: &str,
    properties: &Defs,
    required: &[&str],
) -> Json {
    let mut schema = json!({
        "description": about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let name = name.strip_prefix("Raw").unwrap_or(name);
    defs.insert(name.to_owned(), schema);
    json!({ "$ref": format!("#/$defs/{name}") })
}
