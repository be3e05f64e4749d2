//! Values as the files write them, without places: to be compared, kept and written again.

use crate::place::Place;
use crate::yaml::{Entry, Kind, Node, Scalar, Value};
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;

/// A value as written. Two maps are equal whatever the order of their keys.
#[derive(Clone, Debug)]
pub enum Written {
    /// Nothing.
    Null,
    /// A number, `true` or `false`, in the spelling of the file: `1.50` is not `1.5` to a header.
    Literal(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A map, in the order of the file.
    Map(Vec<(String, Self)>),
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Literal(one), Self::Literal(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(key, value)| get(other, key) == Some(value))
            }
            _ => false,
        }
    }
}

fn get<'w>(entries: &'w [(String, Written)], key: &str) -> Option<&'w Written> {
    entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

impl Written {
    /// The value of a tree. In one that was read without filling in variables, plain text with a
    /// variable has to stay plain.
    pub(super) fn of(node: &Node, variables: bool) -> Self {
        match &node.value {
            Value::Scalar(scalar) => match &scalar.kind {
                Kind::Null | Kind::Reported => Self::Null,
                Kind::Bool(_) | Kind::Number(_) => Self::Literal(scalar.text.clone()),
                Kind::Text if variables && scalar.plain && scalar.text.contains("${") => {
                    Self::Literal(scalar.text.clone())
                }
                Kind::Text => Self::Text(scalar.text.clone()),
            },
            Value::List(items) => {
                Self::List(items.iter().map(|item| Self::of(item, variables)).collect())
            }
            Value::Map(entries) => {
                let entry = |entry: &Entry| (entry.key.clone(), Self::of(&entry.value, variables));
                Self::Map(entries.iter().map(entry).collect())
            }
        }
    }

    /// The tree of this value, all of it at one place.
    pub(super) fn to_node(&self, place: Place) -> Node {
        let value = match self {
            Self::Null => Value::Scalar(Scalar::plain(String::new())),
            Self::Literal(text) => Value::Scalar(Scalar::plain(text.clone())),
            Self::Text(text) => Value::Scalar(Scalar::quoted(text.clone())),
            Self::List(items) => Value::List(items.iter().map(|it| it.to_node(place)).collect()),
            Self::Map(entries) => {
                let entry = |(key, value): &(String, Self)| Entry {
                    key: key.clone(),
                    key_place: place,
                    value: value.to_node(place),
                };
                Value::Map(entries.iter().map(entry).collect())
            }
        };
        Node::new(place, value)
    }

    /// The value as JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Literal(text) => match Scalar::plain(text.clone()).kind {
                Kind::Bool(value) => Json::Bool(value),
                Kind::Number(number) => Json::Number(number),
                Kind::Null | Kind::Text | Kind::Reported => Json::String(text.clone()),
            },
            Self::Text(text) => Json::String(text.clone()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), value.to_json()));
                Json::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// How many bytes it takes, about.
    pub fn size(&self) -> usize {
        match self {
            Self::Null => 4,
            Self::Literal(text) | Self::Text(text) => text.len() + 4,
            Self::List(items) => items.iter().map(Self::size).sum(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| key.len() + 4 + value.size()).sum()
            }
        }
    }

    /// The smallest merge patch that makes one value of another; `None` when there is nothing to do.
    pub(super) fn difference(from: Option<&Self>, to: Option<&Self>) -> Option<Self> {
        match (from, to) {
            (None, None) => None,
            (Some(_), None) => Some(Self::Null),
            (Some(from), Some(to)) if from == to => None,
            (Some(Self::Map(from)), Some(Self::Map(to))) => {
                let gone = from.iter().filter(|(key, _)| get(to, key).is_none());
                let gone = gone.map(|(key, _)| (key.clone(), Self::Null));
                let changed = to.iter().filter_map(|(key, value)| {
                    let patch = Self::difference(get(from, key), Some(value))?;
                    Some((key.clone(), patch))
                });
                Some(Self::Map(changed.chain(gone).collect()))
            }
            (_, Some(to)) => Some(to.clone()),
        }
    }

    /// The entries of a map; none for anything else.
    pub(super) fn entries_mut(&mut self) -> &mut Vec<(String, Self)> {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Vec::new());
        }
        match self {
            Self::Map(entries) => entries,
            _ => unreachable!("it was made a map"),
        }
    }

    /// The map as YAML in block style.
    pub(super) fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    /// Writes the value after its key or dash; `depth` is how far what follows is indented.
    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Self::Null => out.push_str(" null\n"),
            Self::Literal(text) => {
                let _ = writeln!(out, " {text}");
            }
            Self::Text(text) => {
                let _ = writeln!(out, " {}", quoted(text));
            }
            Self::List(items) if items.is_empty() => out.push_str(" []\n"),
            Self::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
            Self::List(items) => {
                start_block(out);
                for item in items {
                    let _ = write!(out, "{:depth$}-", "");
                    item.write(out, depth + 2);
                }
            }
            Self::Map(entries) => {
                start_block(out);
                for (key, value) in entries {
                    let _ = write!(out, "{:depth$}{}:", "", key_text(key));
                    value.write(out, depth + 2);
                }
            }
        }
    }
}

/// A block begins on a line of its own.
fn start_block(out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
}

fn key_text(key: &str) -> String {
    let bare = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.to_owned() } else { quoted(key) }
}

/// What YAML does not take for text as it is, or for the end of a line.
pub(super) fn must_be_escaped(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

pub(super) fn push_escaped(out: &mut String, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

/// Double quotes as YAML and JSON both read them; what is not printable is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if must_be_escaped(c) => push_escaped(&mut out, c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
