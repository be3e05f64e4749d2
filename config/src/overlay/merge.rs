//! JSON merge patch (RFC 7396) on trees that know their places.

use crate::yaml::{Entry, Node, Value};

/// Merges maps key by key, all the way down. `null` removes a key; every other value replaces what
/// stood there, and comes with its own place.
pub(crate) fn merge(target: &mut Vec<Entry>, patch: Vec<Entry>) {
    for entry in patch {
        let known = target.iter().position(|known| known.key == entry.key);
        match known {
            Some(at) if entry.value.is_null() => {
                target.remove(at);
            }
            Some(at) => replace(&mut target[at], entry),
            None if entry.value.is_null() => {}
            None => target.push(without_nulls(entry)),
        }
    }
}

fn replace(target: &mut Entry, patch: Entry) {
    match (&mut target.value.value, patch.value.value) {
        (Value::Map(target), Value::Map(patch)) => merge(target, patch),
        (_, value) => {
            let value = Node { value, spot: patch.value.spot };
            *target = without_nulls(Entry { value, ..patch });
        }
    }
}

/// What a patch says of nothing: keys that are to be removed are not there.
fn without_nulls(mut entry: Entry) -> Entry {
    if let Value::Map(entries) = &mut entry.value.value {
        let mut kept = Vec::with_capacity(entries.len());
        merge(&mut kept, std::mem::take(entries));
        *entries = kept;
    }
    entry
}
