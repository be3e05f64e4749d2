//! Parser events to tree: duplicates, aliases and depth are settled here.
//!
//! Everything is bounded. Nesting stops at [`MAX_DEPTH`] and a file may hold [`MAX_VALUES`] values,
//! counted after aliases have been filled in, so ten nested aliases of ten cannot fill the memory.

use super::expand::{Env, expand};
use super::node::{Entry, Node, Value, key_path};
use super::scalar::Scalar;
use super::secret;
use crate::place::Place;
use crate::problem::{Problem, Report};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::collections::HashMap;

/// How deep lists and maps may nest; later stages recurse on the tree and rely on it.
const MAX_DEPTH: usize = 64;

/// How many values one file may hold.
const MAX_VALUES: usize = 250_000;

/// Reads one file; without an environment `${VAR}` stays as it is. `None` after broken YAML, or when there is nothing in it; both are reported.
pub(crate) fn parse(
    text: &str,
    file: u16,
    env: Option<Env<'_>>,
    report: &mut Report,
) -> Option<Node> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::new(file, env, report);
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = event.map_err(|error| scan_problem(&error, file));
        if let Err(problem) = taken.and_then(|(event, span)| builder.take(event, span)) {
            builder.report.push(problem);
            return None;
        }
    }
    let mut root = builder.root.filter(|root| !root.is_null());
    match &mut root {
        Some(root) => root.name("".into()),
        None => {
            let place = Place { file, ..Place::default() };
            report.push(
                Problem::error(place, "", "the file is empty")
                    .hint("start with \"services:\" and the name of a service below it"),
            );
        }
    }
    root
}

/// A list or map that is not closed yet.
struct Open {
    anchor: usize,
    place: Place,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Place>, key: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    place: Place,
    /// It stood there before; its value is read and dropped.
    again: bool,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    values: usize,
    height: usize,
}

struct Builder<'a> {
    file: u16,
    env: Option<Env<'a>>,
    report: &'a mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    values: usize,
    documents: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(file: u16, env: Option<Env<'a>>, report: &'a mut Report) -> Self {
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { file, env, report, open, anchors, values: 0, documents: 0, root: None }
    }

    /// An error here means that nothing after it can be trusted.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = self.place(span);
        match &event {
            // What the parser puts where nothing stands is no secret.
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "~" => {}
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                self.keep_secret(place);
            }
            _ => {}
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::error(place, "", "a second document starts here")
                        .hint("one file holds one document; put the other in a file of its own and \"include\" it"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), place);
                let text_tag = tag.as_deref().is_some_and(is_text_tag);
                if self.awaits_key() {
                    return self.key(text.into_owned(), style, place);
                }
                let node = self.scalar(text.into_owned(), style, text_tag, place);
                self.finish(node, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), place);
                self.start(Content::List(Vec::new()), anchor, place)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), place);
                let (entries, seen) = (Vec::new(), HashMap::new());
                self.start(Content::Map { entries, seen, key: None }, anchor, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, place, content }) = self.open.pop() {
                    let value = match content {
                        Content::List(items) => Value::List(items),
                        Content::Map { entries, .. } => Value::Map(entries),
                    };
                    self.finish(Node::new(place, value), anchor)?;
                }
            }
            Event::Alias(id) => self.alias(id, place)?,
            Event::UnresolvedAlias(name) => {
                self.report.push(
                    Problem::error(place, "", format!("the anchor &{name} does not exist"))
                        .hint("an alias can only repeat what stands above it; quote a value that starts with *"),
                );
                self.whole(Node::new(place, Value::Scalar(Scalar::reported())));
            }
            _ => {}
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        let (start, end) = (span.start, span.end);
        let width =
            if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Place {
            file: self.file,
            line: bounded(start.line()),
            column: bounded(start.col() + 1),
            width: bounded(width.max(1)),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: String, style: ScalarStyle, place: Place) -> Result<(), Problem> {
        if text == "<<" && style == ScalarStyle::Plain {
            self.report.push(
                Problem::error(place, self.path(), "merge keys (\"<<\") are not supported")
                    .hint("\"defaults:\" sets values for every service; an alias (*name) repeats a whole value"),
            );
        }
        let Some(Open { content: Content::Map { seen, key, .. }, .. }) = self.open.last_mut()
        else {
            return Ok(());
        };
        let first = seen.get(&text).copied();
        if first.is_none() {
            seen.insert(text.clone(), place);
        }
        let name = text.clone();
        *key = Some(Key { text, place, again: first.is_some() });
        if let Some(Place { line, .. }) = first {
            let message = format!("the key {name:?} stands twice in one map, first in line {line}");
            self.report.push(
                Problem::error(place, self.path(), message)
                    .hint("keep one of the two; nothing is merged"),
            );
        }
        Ok(())
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, text_tag: bool, place: Place) -> Node {
        if style != ScalarStyle::Plain || text_tag {
            return Node::new(place, Value::Scalar(Scalar::quoted(text)));
        }
        let scalar = match self.env.filter(|_| text.contains("${")) {
            None => Scalar::plain(text),
            Some(env) => match expand(&text, env) {
                Ok(text) => Scalar::filled(text),
                Err(wrong) => {
                    self.report.push(wrong.at(place, &self.path()));
                    Scalar::reported()
                }
            },
        };
        Node::new(place, Value::Scalar(scalar))
    }

    fn start(&mut self, content: Content, anchor: usize, place: Place) -> Result<(), Problem> {
        if self.awaits_key() {
            return Err(Problem::error(place, "", "a key must be text, not a list or map")
                .hint("text that starts with { or [ needs quotes, such as \"{{ name }}\""));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push(Open { anchor, place, content });
        Ok(())
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Problem> {
        if self.awaits_key() {
            return Err(Problem::error(place, "", "an alias cannot be a key").hint("write the key"));
        }
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(Problem::error(place, "", "this alias stands inside the value it repeats")
                .hint("a value cannot contain itself"));
        };
        if self.open.len() + anchored.height > MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.values = self.values.saturating_add(anchored.values);
        if self.values > MAX_VALUES {
            return Err(too_many(place));
        }
        let node = anchored.node.clone();
        self.keep_secret(node.spot.place);
        self.whole(node);
        Ok(())
    }

    /// Closes a value that its file spells out, and keeps it for aliases.
    fn finish(&mut self, mut node: Node, anchor: usize) -> Result<(), Problem> {
        // A block starts below its key and an absent value nowhere: both are pointed at by the key.
        if let Some(Open { content: Content::Map { key: Some(key), .. }, .. }) = self.open.last() {
            let below =
                node.spot.place.line > key.place.line && !matches!(node.value, Value::Scalar(_));
            if below || node.is_null() {
                node.spot.place = key.place;
            }
        }
        if anchor != 0 {
            let (values, height) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), values, height });
        }
        self.values = self.values.saturating_add(1);
        if self.values > MAX_VALUES {
            return Err(too_many(node.spot.place));
        }
        self.whole(node);
        Ok(())
    }

    fn whole(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key, .. }) => {
                if let Some(Key { text, place, again: false }) = key.take() {
                    entries.push(Entry { key: text, key_place: place, value: node });
                }
            }
        }
    }

    /// Has no report quote the value that is being read, if it is a secret.
    fn keep_secret(&mut self, place: Place) {
        let keys = self.open.iter().filter_map(|open| match &open.content {
            Content::Map { key: Some(key), .. } => Some(key.text.as_str()),
            Content::Map { key: None, .. } | Content::List(_) => None,
        });
        if secret::is_under(keys) {
            self.report.keep_secret(place);
        }
    }

    /// The key path of the value that is being read.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match &open.content {
            Content::List(items) => format!("{path}[{}]", items.len()),
            Content::Map { key: Some(key), .. } => key_path(&path, &key.text).to_string(),
            Content::Map { key: None, .. } => path,
        })
    }

    fn check_tag(&mut self, tag: Option<&Tag>, place: Place) {
        let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema() && !is_text_tag(tag)) else {
            return;
        };
        self.report.push(
            Problem::error(place, self.path(), format!("the tag {} is not known", tag.original()))
                .hint("remove it, or quote a value that starts with \"!\""),
        );
    }
}

fn is_text_tag(tag: &Tag) -> bool {
    tag.is_yaml_core_schema_tag("str") || (tag.handle().is_empty() && tag.suffix() == "!")
}

fn bounded(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn too_deep(place: Place) -> Problem {
    Problem::error(place, "", format!("lists and maps nest deeper than {MAX_DEPTH} levels"))
        .hint("move the deep part into a JSON file: response: { file: ./body.json }")
}

fn too_many(place: Place) -> Problem {
    Problem::error(
        place,
        "",
        format!("the file holds more than {MAX_VALUES} values, aliases filled in"),
    )
    .hint("move large bodies into files of their own: response: { file: ./body.json }")
}

/// How many values a tree holds and how many levels of lists and maps it has.
fn measure(node: &Node) -> (usize, usize) {
    let add = |(values, height): (usize, usize), node: &Node| {
        let (more, deeper) = measure(node);
        (values + more, height.max(deeper))
    };
    match &node.value {
        Value::Scalar(_) => (1, 0),
        Value::List(items) => {
            let (values, height) = items.iter().fold((1, 0), add);
            (values, height + 1)
        }
        Value::Map(entries) => {
            let (values, height) = entries.iter().map(|entry| &entry.value).fold((1, 0), add);
            (values, height + 1)
        }
    }
}

fn scan_problem(error: &ScanError, file: u16) -> Problem {
    use granit_parser::ErrorKind as E;
    let place = Place {
        file,
        line: bounded(error.marker().line()),
        column: bounded(error.marker().col() + 1),
        width: 1,
    };
    let hint = match error.kind() {
        E::RecursionLimitExceeded => return too_deep(place),
        E::TabInIndentation | E::TabInBlockIndentation | E::TabNotAllowed | E::TabInPlainScalar => {
            "YAML indents with spaces only"
        }
        E::UnclosedQuotedScalar | E::InvalidQuotedScalarIndent => {
            "a quote before this place is not closed"
        }
        E::ExpectedFlowMappingSeparator
        | E::UnclosedFlowCollection { .. }
        | E::MismatchedFlowCollectionEnd { .. }
        | E::ExpectedFlowSequenceSeparator => {
            "inside { } and [ ], quote text that holds one of { } [ ] , such as \"/users/{id}\""
        }
        E::MappingValueNotAllowed => "quote text that holds \": \", and check the indentation",
        _ => "check the indentation and the quotes here and in the lines above",
    };
    let message = error.info().replace('\n', " ");
    Problem::error(place, "", format!("this is not YAML: {message}")).hint(hint)
}
