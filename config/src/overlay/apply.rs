//! Puts documents of changes into the trees of the files.

use super::written::{Tree, must_be_escaped, push_escaped};
use super::{Change, What, merge};
use crate::decode::Record as _;
use crate::near;
use crate::place::{Place, Sources};
use crate::problem::{Problem, Report};
use crate::raw::RawService;
use crate::raw::file::RawDefaults;
use crate::raw::later;
use crate::yaml::{self, Entry, Env, Node, Spot, Value, key_path};
use std::path::Path;

/// Keys that services alone have and that can be changed all the same.
const OF_SERVICES: [&str; 2] = ["mode", "health"];

/// Whether changes may be made to this key of a service: every policy that `defaults` know too,
/// and a few more.
pub(crate) fn can_change(key: &str) -> bool {
    changeable().any(|known| known == key)
}

fn changeable() -> impl Iterator<Item = &'static str> + Clone {
    let more = OF_SERVICES.into_iter().filter(|key| !RawDefaults::KEYS.contains(key));
    RawDefaults::KEYS.iter().copied().chain(more)
}

/// A document of changes.
pub(crate) enum Document<'a> {
    /// The overlay file.
    File {
        path: &'a Path,
        text: &'a str,
    },
    RunTime(&'a Change),
}

/// Merges a document into the files that declare what it changes. `whole`: all files could be read,
/// so that a service that is nowhere declared is a mistake of the document.
pub(crate) fn apply(
    document: &Document<'_>,
    files: &mut [Node],
    (sources, report): (&mut Sources, &mut Report),
    (env, main, whole): (Env<'_>, &Path, bool),
) {
    let services = match document {
        Document::File { path, text } => {
            let file = sources.add((*path).to_owned(), *text);
            yaml::parse(text, file, Some(env), report).and_then(|root| of_file(root, report))
        }
        Document::RunTime(change) => {
            let text = match &change.what {
                What::Patch(text) => text.as_str(),
                What::Set(..) => "",
            };
            let file = sources.add_virtual(&change.name, text, main);
            of_change(change, file, report).map(|entry| vec![entry])
        }
    };
    let put = match document {
        Document::RunTime(Change { what: What::Set(..), .. }) => replace,
        _ => merge,
    };
    for service in services.unwrap_or_default() {
        one(service, files, (whole, put), report);
    }
}

/// The services of an overlay file.
fn of_file(root: Node, report: &mut Report) -> Option<Vec<Entry>> {
    let Value::Map(entries) = root.value else {
        report.push(wants_map(
            &root,
            "an overlay file",
            "write services: and what is changed of them",
        ));
        return None;
    };
    let (services, other): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.key == "services");
    for entry in other {
        let message = format!("{:?} cannot stand in an overlay file", entry.key);
        report.push(
            at_key(&entry)
                .error(message)
                .hint("it changes services only; write the rest into the file itself"),
        );
    }
    let services = services.into_iter().next()?.value;
    match services.value {
        Value::Map(services) => Some(services),
        _ if services.is_null() || services.is_reported() => None,
        _ => {
            report.push(wants_map(&services, "services", "write NAME: and what is changed of it"));
            None
        }
    }
}

/// A change at run time, as an overlay file would have it.
fn of_change(change: &Change, file: u16, report: &mut Report) -> Option<Entry> {
    let path = key_path("services", &change.service);
    let place = Place { file, ..Place::default() };
    let mut value = match &change.what {
        What::Patch(text) => {
            let mut own = Report::default();
            let parsed = yaml::parse(&json_as_yaml(text), file, None, &mut own);
            report.extend(own.into_problems().map(|problem| below(&path, problem)));
            parsed?
        }
        What::Set(key, value) => {
            let entry = |value| Entry { key: key.clone(), key_place: place, value };
            let value = value.as_ref().map_or(&Tree::Null, |value| &value.0).to_node(place);
            Node::new(place, Value::Map(vec![entry(value)]))
        }
    };
    value.name(path);
    Some(Entry { key: change.service.clone(), key_place: place, value })
}

/// JSON as YAML takes it: tabs between values, and characters inside text that YAML wants escaped.
pub(super) fn json_as_yaml(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\t' => out.push(' '),
            c if must_be_escaped(c) && !c.is_ascii_whitespace() => push_escaped(&mut out, c),
            c => out.push(c),
        }
        out
    })
}

/// The parser does not know that the document stands below a service.
fn below(path: &str, problem: Problem) -> Problem {
    let path = match problem.path.as_str() {
        "" => path.to_owned(),
        own if own.starts_with('[') => format!("{path}{own}"),
        own => format!("{path}.{own}"),
    };
    Problem { path, ..problem }
}

/// How values come into the map of a service.
type Put = fn(&mut Vec<Entry>, Vec<Entry>);

/// Changes one service.
fn one(change: Entry, files: &mut [Node], (whole, put): (bool, Put), report: &mut Report) {
    let spot = at_key(&change);
    if change.value.is_reported() {
        return;
    }
    let hint = "write the keys to change below it, or remove it";
    let Value::Map(mut entries) = change.value.value else {
        report.push(wants_map(&change.value, &format!("the changes of {:?}", change.key), hint));
        return;
    };
    entries.retain(|entry| is_allowed(entry, report));
    let known = files.iter_mut().filter_map(services).flatten();
    let Some(service) = known.into_iter().find(|service| service.key == change.key) else {
        if whole {
            let names: Vec<_> = files.iter_mut().filter_map(services).flatten().collect();
            let names: Vec<_> = names.iter().map(|entry| entry.key.as_str()).collect();
            let hint = near::suggest("services", &change.key, names.iter().copied());
            report.push(spot.error(format!("unknown service {:?}", change.key)).hint(hint));
        }
        return;
    };
    // Anything else is refused where it stands.
    if let Value::Map(service) = &mut service.value.value {
        put(service, entries);
    }
}

/// Puts values in the place of others, whole.
fn replace(target: &mut Vec<Entry>, values: Vec<Entry>) {
    for value in values {
        target.retain(|entry| entry.key != value.key);
        if !value.value.is_null() {
            target.push(value);
        }
    }
}

/// Whether a key may stand in a document. Keys of later capabilities may, to be refused as such.
fn is_allowed(entry: &Entry, report: &mut Report) -> bool {
    let key = entry.key.as_str();
    if can_change(key) || later::POLICIES.iter().any(|(later, _)| *later == key) {
        return true;
    }
    let error = match RawService::KEYS.contains(&key) {
        true => {
            let known: Vec<_> = changeable().collect();
            at_key(entry).error(format!("{key:?} cannot be changed over the file")).hint(format!(
                "it is for the file itself to say; what can be: {}",
                known.join(", ")
            ))
        }
        false => at_key(entry)
            .error(format!("unknown key {key:?} in the changes of a service"))
            .hint(near::suggest("keys", key, changeable())),
    };
    report.push(error);
    false
}

fn services(file: &mut Node) -> Option<&mut Vec<Entry>> {
    let Value::Map(entries) = &mut file.value else { return None };
    let services = entries.iter_mut().find(|entry| entry.key == "services")?;
    if let Value::Map(services) = &mut services.value.value { Some(services) } else { None }
}

fn at_key(entry: &Entry) -> Spot {
    Spot { place: entry.key_place, path: entry.value.spot.path.clone() }
}

fn wants_map(node: &Node, what: &str, hint: &str) -> Problem {
    node.error(format!("expected a map for {what}, found {}", node.describe())).hint(hint)
}
