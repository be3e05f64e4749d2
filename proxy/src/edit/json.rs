//! JSON that is changed in places and otherwise stays as it was written.
//!
//! Nothing is read into numbers or strings: a text is split only along the paths of an edit, and the
//! pieces in between are copied. So no number loses digits, no key changes its place, and what an
//! edit does not touch keeps its very letters.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use stitch_config::model::JsonStep;

/// A value: its text, and its parts once somebody has looked into it.
#[derive(Debug)]
pub(super) struct Node<'a> {
    text: &'a str,
    split: Option<Box<Split<'a>>>,
}

#[derive(Debug)]
struct Split<'a> {
    parts: Parts<'a>,
    /// The text is out of date.
    changed: bool,
}

#[derive(Debug)]
enum Parts<'a> {
    /// Keys with their quotes and escapes, as written.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    List(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    /// A text, if it is JSON from its beginning to its end.
    pub fn read(text: &'a str) -> Option<Self> {
        let whole: &RawValue = serde_json::from_str(text).ok()?;
        Some(Self::whole(whole.get()))
    }

    fn whole(text: &'a str) -> Self {
        Self { text, split: None }
    }

    /// Takes away what is at the end of the path. Says whether anything was there.
    pub fn remove(&mut self, steps: &[JsonStep]) -> bool {
        let Some((step, rest)) = steps.split_first() else { return false };
        let Some(split) = self.look_into() else { return false };
        let removed = match (&mut split.parts, rest.is_empty()) {
            (Parts::Object(members), true) => {
                let before = members.len();
                members.retain(|(key, _)| !names(step, key));
                members.len() < before
            }
            (Parts::List(items), true) => match step {
                JsonStep::Index(index) if *index < items.len() => {
                    items.remove(*index);
                    true
                }
                JsonStep::Every => std::mem::take(items).pop().is_some(),
                JsonStep::Index(_) | JsonStep::Key(_) => false,
            },
            (parts, false) => parts.each(step, |node| node.remove(rest)).1,
        };
        split.changed |= removed;
        removed
    }

    /// Puts a value at the end of the path, and makes what is missing on the way. Says whether that
    /// changed anything.
    pub fn set(&mut self, steps: &[JsonStep], value: &'a str) -> bool {
        let Some((step, rest)) = steps.split_first() else { return self.replace(value) };
        if self.current() == Some("null") {
            let made = Self::make(steps, value);
            return made.map(|made| *self = made).is_some();
        }
        let Some(split) = self.look_into() else { return false };
        let (found, mut changed) = split.parts.each(step, |node| node.set(rest, value));
        if !found {
            changed = split.parts.add(step, rest, value);
        }
        split.changed |= changed;
        changed
    }

    /// The text as it is now.
    pub fn write(&self, out: &mut String) {
        let Some(split) = self.split.as_ref().filter(|split| split.changed) else {
            out.push_str(self.text);
            return;
        };
        match &split.parts {
            Parts::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Parts::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
        }
    }

    /// The text, while it is up to date.
    fn current(&self) -> Option<&'a str> {
        let changed = self.split.as_ref().is_some_and(|split| split.changed);
        (!changed).then_some(self.text)
    }

    fn replace(&mut self, value: &'a str) -> bool {
        let changed = self.current() != Some(value);
        if changed {
            *self = Self::whole(value);
        }
        changed
    }

    /// The parts of an object or list.
    fn look_into(&mut self) -> Option<&mut Split<'a>> {
        if self.split.is_none() {
            let parts = match self.text.as_bytes().first()? {
                b'{' => Parts::Object(serde_json::from_str::<Members<'a>>(self.text).ok()?.0),
                b'[' => Parts::List(serde_json::from_str::<Items<'a>>(self.text).ok()?.0),
                _ => return None,
            };
            self.split = Some(Box::new(Split { parts, changed: false }));
        }
        self.split.as_deref_mut()
    }

    /// A value with what is on the way to it; `None` when the path leads nowhere in what is new.
    fn make(steps: &[JsonStep], value: &'a str) -> Option<Self> {
        let Some((step, rest)) = steps.split_first() else { return Some(Self::whole(value)) };
        let mut parts = match step {
            JsonStep::Key(_) => Parts::Object(Vec::new()),
            JsonStep::Index(_) => Parts::List(Vec::new()),
            JsonStep::Every => return None,
        };
        let added = parts.add(step, rest, value);
        added.then(|| Self { text: "", split: Some(Box::new(Split { parts, changed: true })) })
    }
}

impl<'a> Parts<'a> {
    /// Does something to every part that a step leads to: whether there are any, and whether one of
    /// them changed.
    fn each(
        &mut self,
        step: &JsonStep,
        mut edit: impl FnMut(&mut Node<'a>) -> bool,
    ) -> (bool, bool) {
        let (mut found, mut changed) = (false, false);
        let mut visit = |node: &mut Node<'a>| {
            found = true;
            changed |= edit(node);
        };
        match (self, step) {
            (Self::Object(members), step) => {
                members
                    .iter_mut()
                    .filter(|(key, _)| names(step, key))
                    .for_each(|(_, node)| visit(node));
            }
            (Self::List(items), JsonStep::Index(index)) => {
                items.get_mut(*index).into_iter().for_each(visit);
            }
            (Self::List(items), JsonStep::Every) => items.iter_mut().for_each(visit),
            (Self::List(_), JsonStep::Key(_)) => {}
        }
        (found, changed)
    }

    /// Adds what a step does not find: a member, or an element behind the last.
    fn add(&mut self, step: &JsonStep, rest: &[JsonStep], value: &'a str) -> bool {
        match (self, step) {
            (Self::Object(members), JsonStep::Key(name)) => {
                let Some(node) = Node::make(rest, value) else { return false };
                // A string has a JSON form, whatever it holds.
                let key = serde_json::Value::from(name.as_str()).to_string();
                members.push((Cow::Owned(key), node));
                true
            }
            (Self::List(items), JsonStep::Index(index)) if *index == items.len() => {
                let made = Node::make(rest, value);
                made.map(|node| items.push(node)).is_some()
            }
            _ => false,
        }
    }
}

/// Whether a step leads to the member with this key, which is as written.
fn names(step: &JsonStep, key: &str) -> bool {
    match step {
        JsonStep::Every => true,
        JsonStep::Index(_) => false,
        JsonStep::Key(name) if key.contains('\\') => {
            serde_json::from_str::<String>(key).is_ok_and(|key| key == *name)
        }
        JsonStep::Key(name) => {
            key.strip_prefix('"').and_then(|key| key.strip_suffix('"')) == Some(name)
        }
    }
}

/// The members of an object, each as written and all of them, even if two have one name.
struct Members<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
                    members.push((Cow::Borrowed(key.get()), Node::whole(value.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

struct Items<'a>(Vec<Node<'a>>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<&'de RawValue>()? {
                    items.push(Node::whole(item.get()));
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
