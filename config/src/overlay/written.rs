//! Values as the files write them, without places: to be compared, kept and written again.

use crate::place::Place;
use crate::yaml::{Entry, Kind, Node, Scalar, Value};
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written(pub(super) Tree);

impl Written {
    /// The value as JSON.
    pub fn to_json(&self) -> Json {
        self.0.to_json()
    }

    /// How many bytes it takes, about.
    pub fn size(&self) -> usize {
        self.0.size()
    }
}

/// A tree without places.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Null,
    /// Text, a number, `true` or `false`, in the spelling of the file: `1.50` is not `1.5` to a
    /// header.
    Scalar(Scalar),
    /// Plain text with variables that are not filled in.
    Variables(String),
    List(Vec<Self>),
    /// In the order of the file.
    Map(Vec<(String, Self)>),
}

/// Two maps are equal whatever the order of their keys, and text however it is quoted.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Scalar(one), Self::Scalar(other)) => {
                one.text == other.text && one.kind == other.kind
            }
            (Self::Variables(one), Self::Variables(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(key, value)| get(other, key) == Some(value))
            }
            _ => false,
        }
    }
}

pub(super) fn get<'w>(entries: &'w [(String, Tree)], key: &str) -> Option<&'w Tree> {
    entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

impl Tree {
    /// The value of a node. In one that was read without filling in variables, plain text with a
    /// variable has to stay plain.
    pub(super) fn of(node: &Node, variables: bool) -> Self {
        match &node.value {
            Value::Scalar(scalar) => match &scalar.kind {
                Kind::Null | Kind::Reported => Self::Null,
                Kind::Text if variables && scalar.plain && scalar.text.contains("${") => {
                    Self::Variables(scalar.text.clone())
                }
                Kind::Bool(_) | Kind::Number(_) | Kind::Text => Self::Scalar(scalar.clone()),
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
            Self::Scalar(scalar) => Value::Scalar(scalar.clone()),
            Self::Variables(text) => Value::Scalar(Scalar::plain(text.clone())),
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

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Scalar(scalar) => match &scalar.kind {
                Kind::Bool(value) => Json::Bool(*value),
                Kind::Number(number) => Json::Number(number.clone()),
                Kind::Null | Kind::Text | Kind::Reported => Json::String(scalar.text.clone()),
            },
            Self::Variables(text) => Json::String(text.clone()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), value.to_json()));
                Json::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Null => 4,
            Self::Scalar(Scalar { text, .. }) | Self::Variables(text) => text.len() + 4,
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

    /// Puts what `raw` says wherever `filled`, the same with its variables filled in, says what stands
    /// here: a secret that comes from the environment is not to be written down.
    pub(super) fn keep_variables(&mut self, filled: &Self, raw: &Self) {
        if self == filled {
            *self = raw.clone();
            return;
        }
        match (self, filled, raw) {
            (Self::Map(own), Self::Map(filled), Self::Map(raw)) => {
                for (key, value) in own {
                    if let (Some(filled), Some(raw)) = (get(filled, key), get(raw, key)) {
                        value.keep_variables(filled, raw);
                    }
                }
            }
            (Self::List(own), Self::List(filled), Self::List(raw)) => {
                for (value, (filled, raw)) in own.iter_mut().zip(filled.iter().zip(raw)) {
                    value.keep_variables(filled, raw);
                }
            }
            _ => {}
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
            Self::Scalar(Scalar { text, kind: Kind::Text, .. }) => {
                let _ = writeln!(out, " {}", quoted(text));
            }
            Self::Scalar(Scalar { text, .. }) | Self::Variables(text) => {
                let _ = writeln!(out, " {text}");
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
