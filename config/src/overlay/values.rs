//! What the files say about the keys that can be changed, level by level.

use super::written::Tree;
use super::{Written, can_change};
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What each level says, every level with those below it merged in.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The user's own files.
    pub files: Arc<Level>,
    /// The overlay file over them.
    pub with_overlay: Arc<Level>,
    /// Changes at run time over both: what is in force.
    pub in_force: Arc<Level>,
}

/// Of every service those keys that can be changed and are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Level(BTreeMap<String, BTreeMap<String, Written>>);

impl Level {
    /// Reads the services of the files.
    pub(crate) fn of<'n>(files: impl IntoIterator<Item = &'n Node>) -> Self {
        let mut level = Self::default();
        for (name, service) in files.into_iter().flat_map(services) {
            let Value::Map(entries) = &service.value else { continue };
            let written = entries.iter().filter(|entry| can_change(&entry.key));
            let written =
                written.map(|entry| (entry.key.clone(), Written(Tree::of(&entry.value, false))));
            // A name that is declared twice is refused; the first is the one that is changed.
            level.0.entry(name.to_owned()).or_insert_with(|| written.collect());
        }
        level
    }

    /// The value of a key.
    pub fn get(&self, service: &str, key: &str) -> Option<&Written> {
        self.0.get(service)?.get(key)
    }

    /// Whether the service is declared.
    pub fn declares(&self, service: &str) -> bool {
        self.0.contains_key(service)
    }
}

/// The services of one file, by name.
fn services(file: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let top = if let Value::Map(top) = &file.value { top.as_slice() } else { &[] };
    let services = top.iter().find(|entry| entry.key == "services").map(|entry| &entry.value.value);
    let named = if let Some(Value::Map(named)) = services { named.as_slice() } else { &[] };
    named.iter().map(|entry| (entry.key.as_str(), &entry.value))
}
