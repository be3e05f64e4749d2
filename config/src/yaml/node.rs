//! The tree itself: scalars, lists and maps with their places and key paths.

use super::scalar::{Kind, Scalar};
use crate::data::{Data, Text};
use crate::place::Place;
use crate::problem::Problem;
use std::rc::Rc;

/// Where a value stands: the position for people, the key path for tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    pub(crate) path: Rc<str>,
}

impl Spot {
    pub(crate) fn error(&self, message: impl Into<String>) -> Problem {
        Problem::error(self.place, &*self.path, message)
    }

    pub(crate) fn warning(&self, message: impl Into<String>) -> Problem {
        Problem::warning(self.place, &*self.path, message)
    }
}

/// One value of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) spot: Spot,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { spot: Spot { place, path: Rc::from("") }, value }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { kind: Kind::Null, .. }))
    }

    /// Whether it was wrong in itself; there is nothing to decode then, and nothing to add.
    pub(crate) fn is_reported(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { kind: Kind::Reported, .. }))
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> Problem {
        self.spot.error(message)
    }

    /// What stands here, for "expected …, found …".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    pub(crate) fn to_data(&self) -> Data {
        match &self.value {
            Value::Scalar(scalar) => match &scalar.kind {
                Kind::Null | Kind::Reported => Data::Null,
                Kind::Bool(value) => Data::Bool(*value),
                Kind::Number(number) => Data::Number(number.clone()),
                Kind::Text => {
                    Data::Text(Text { text: scalar.text.clone(), place: self.spot.place })
                }
            },
            Value::List(items) => Data::List(items.iter().map(Self::to_data).collect()),
            Value::Map(entries) => Data::Map(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_data())).collect(),
            ),
        }
    }

    /// Gives this value and all below it their key paths.
    pub(crate) fn name(&mut self, path: Rc<str>) {
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.name(format!("{path}[{index}]").into());
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.value.name(key_path(&path, &entry.key));
                }
            }
        }
        self.spot.path = path;
    }
}

/// The path of a key; keys that hold dots, spaces or the like are quoted: `headers["a.b"]`.
pub(crate) fn key_path(parent: &str, key: &str) -> Rc<str> {
    let bare = !key.is_empty()
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '*'));
    match (bare, parent.is_empty()) {
        (true, true) => key.into(),
        (true, false) => format!("{parent}.{key}").into(),
        (false, _) => format!("{parent}[{key:?}]").into(),
    }
}
