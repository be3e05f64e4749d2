//! Edits of headers: remove, then set, then add.
//!
//! An edit is made in two steps, because a value may come from the very headers that change, and
//! because an answer's values come from a request that is long gone by then: [`HeaderEditor::fill`]
//! while the request is there, [`HeaderEditor::apply`] whenever it is time.

use super::Facts;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use stitch_config::model::{HeaderEdit, HeaderEdits, Value, ValuePart};

/// The edits of both directions; `None` where there is nothing to do.
#[derive(Debug, Default)]
pub(crate) struct HeaderEditors {
    /// On what the service gets.
    pub request: Option<HeaderEditor>,
    /// On what the client gets.
    pub response: Option<HeaderEditor>,
}

impl HeaderEditors {
    /// Prepares the edits.
    pub fn new(edits: &HeaderEdits) -> Self {
        Self {
            request: HeaderEditor::new(&edits.request),
            response: HeaderEditor::new(&edits.response),
        }
    }
}

/// The edits of one direction.
#[derive(Debug)]
pub(crate) struct HeaderEditor {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Source)>,
    add: Vec<(HeaderName, Source)>,
    /// What is to be filled in.
    places: Vec<Vec<ValuePart>>,
    uses_path: bool,
}

/// Where a value comes from.
#[derive(Debug)]
enum Source {
    Literal(HeaderValue),
    /// The place of that number.
    Filled(usize),
}

/// The values of one request; empty, and without an allocation, if nothing is filled in. `None` is
/// one that no header can have.
pub(crate) type Filled = Vec<Option<HeaderValue>>;

impl HeaderEditor {
    /// Prepares an edit; `None` if it does nothing.
    pub fn new(edit: &HeaderEdit) -> Option<Self> {
        let mut places = Vec::new();
        let mut prepare = |values: &[(HeaderName, Value)]| -> Vec<_> {
            let mut source = |value: &Value| match literal(value) {
                Some(literal) => Source::Literal(literal),
                None => {
                    places.push(value.parts.clone());
                    Source::Filled(places.len() - 1)
                }
            };
            values.iter().map(|(name, value)| (name.clone(), source(value))).collect()
        };
        let (set, add) = (prepare(&edit.set), prepare(&edit.add));
        let uses_path = places.iter().flatten().any(|part| matches!(part, ValuePart::Path(_)));
        let editor = Self { remove: edit.remove.clone(), set, add, places, uses_path };
        let idle = editor.remove.is_empty() && editor.set.is_empty() && editor.add.is_empty();
        (!idle).then_some(editor)
    }

    /// Fills in the values that depend on the request.
    pub fn fill(&self, facts: &Facts<'_>) -> Filled {
        let captures = if self.uses_path { facts.captures() } else { None };
        self.places.iter().map(|parts| facts.fill(parts, captures.as_ref())).collect()
    }

    /// Changes headers. `filled` are this editor's own values for the request.
    pub fn apply(&self, mut filled: Filled, headers: &mut HeaderMap) {
        let mut value = |source: &Source| match source {
            Source::Literal(value) => Some(value.clone()),
            // No place is used twice.
            Source::Filled(place) => filled.get_mut(*place).and_then(Option::take),
        };
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, source) in &self.set {
            match value(source) {
                Some(value) => drop(headers.insert(name, value)),
                // Without a value of ours there must not be one of the caller's.
                None => drop(headers.remove(name)),
            }
        }
        for (name, source) in &self.add {
            if let Some(value) = value(source) {
                headers.append(name, value);
            }
        }
    }
}

/// The value, if nothing in it is to be filled in.
fn literal(value: &Value) -> Option<HeaderValue> {
    let mut text = String::new();
    for part in &value.parts {
        let ValuePart::Text(part) = part else { return None };
        text.push_str(part);
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Uri;
    use stitch_config::pattern::PathPattern;

    fn text(text: &str) -> Value {
        Value { parts: vec![ValuePart::Text(text.to_owned())] }
    }

    fn name(name: &'static str) -> HeaderName {
        HeaderName::from_static(name)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn lines(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap()))
            .collect();
        // Stable: lines of one header stay in their order.
        lines.sort_by_key(|(name, _)| *name);
        lines
    }

    /// The headers of a request to `/users/a%20b` with some queries, after an edit of them.
    fn edited(edit: &HeaderEdit, before: &HeaderMap) -> HeaderMap {
        let uri = Uri::from_static("http://x/users/a%20b?page=1%2F2&nl=a%0Ab&page=9&plus=1+2");
        let pattern = PathPattern::parse("/users/{id}").unwrap();
        let facts = Facts {
            pattern: Some(&pattern),
            uri: &uri,
            headers: before,
            request_id: &HeaderValue::from_static("r1"),
            client: Some("::ffff:10.0.0.9".parse().unwrap()),
        };
        let editor = HeaderEditor::new(edit).unwrap();
        let filled = editor.fill(&facts);
        let mut after = before.clone();
        editor.apply(filled, &mut after);
        after
    }

    #[test]
    fn remove_then_set_then_add() {
        let edit = HeaderEdit {
            remove: vec![name("x-gone"), name("x-again"), name("x-never")],
            set: vec![(name("x-set"), text("new")), (name("x-again"), text("back"))],
            add: vec![(name("x-set"), text("more")), (name("x-add"), text("one"))],
        };
        let before = headers(&[
            ("x-gone", "1"),
            ("x-gone", "2"),
            ("x-again", "old"),
            ("x-set", "a"),
            ("x-set", "b"),
            ("x-add", "zero"),
            ("x-kept", "k"),
        ]);
        assert_eq!(
            lines(&edited(&edit, &before)),
            [
                ("x-add", "zero"),
                ("x-add", "one"),
                ("x-again", "back"),
                ("x-kept", "k"),
                ("x-set", "new"),
                ("x-set", "more"),
            ]
        );
    }

    #[test]
    fn places_are_filled_from_the_request_as_it_came() {
        let parts = |parts: Vec<ValuePart>| Value { parts };
        let edit = HeaderEdit {
            remove: vec![name("x-tenant")],
            set: vec![
                (name("a-path"), parts(vec![ValuePart::Path("id".into())])),
                (name("b-query"), parts(vec![ValuePart::Query("page".into())])),
                // Removed by then, and yet there: the request as it came is meant.
                (name("c-header"), parts(vec![ValuePart::Header(name("x-tenant"))])),
                (name("d-id"), parts(vec![ValuePart::RequestId])),
                (name("e-ip"), parts(vec![ValuePart::Text("for=".into()), ValuePart::ClientIp])),
                (name("f-plus"), parts(vec![ValuePart::Query("plus".into())])),
                (
                    name("g-missing"),
                    parts(vec![
                        ValuePart::Text("[".into()),
                        ValuePart::Path("no".into()),
                        ValuePart::Query("no".into()),
                        ValuePart::Header(name("no")),
                        ValuePart::TraceId,
                        ValuePart::Text("]".into()),
                    ]),
                ),
                (name("h-missing"), parts(vec![ValuePart::Header(name("no"))])),
            ],
            add: vec![],
        };
        assert_eq!(
            lines(&edited(&edit, &headers(&[("x-tenant", "grün"), ("x-tenant", "second")]))),
            [
                ("a-path", "a b"),
                ("b-query", "1/2"),
                ("c-header", "grün"),
                ("d-id", "r1"),
                ("e-ip", "for=10.0.0.9"),
                ("f-plus", "1 2"),
                ("g-missing", "[]"),
                ("h-missing", ""),
            ]
        );
    }

    #[test]
    fn what_no_header_can_hold_is_left_out_and_spoils_nothing() {
        let broken = Value { parts: vec![ValuePart::Query("nl".into())] };
        let edit = HeaderEdit {
            remove: vec![],
            set: vec![(name("x-user"), broken.clone()), (name("x-b"), text("b"))],
            add: vec![(name("x-list"), broken), (name("x-list"), text("l"))],
        };
        let before = headers(&[("x-user", "forged"), ("x-list", "k")]);
        assert_eq!(
            lines(&edited(&edit, &before)),
            [("x-b", "b"), ("x-list", "k"), ("x-list", "l")]
        );
    }

    #[test]
    fn literals_need_no_work_and_nothing_needs_no_editor() {
        assert!(HeaderEditor::new(&HeaderEdit::default()).is_none());
        let edit = HeaderEdit { set: vec![(name("x-a"), text("b"))], ..HeaderEdit::default() };
        let editor = HeaderEditor::new(&edit).unwrap();
        let uri = Uri::from_static("/");
        let empty = HeaderMap::new();
        let request_id = HeaderValue::from_static("r1");
        let facts = Facts {
            pattern: None,
            uri: &uri,
            headers: &empty,
            request_id: &request_id,
            client: None,
        };
        let filled = editor.fill(&facts);
        assert_eq!(filled.capacity(), 0);
        let mut after = HeaderMap::new();
        editor.apply(filled, &mut after);
        assert_eq!(after["x-a"], "b");
        let both = HeaderEditors::new(&HeaderEdits { request: edit, ..HeaderEdits::default() });
        assert!(both.request.is_some() && both.response.is_none());
    }
}
