//! `headers` and `body`: which headers may be changed at all, and paths that can be filled in.

use super::body::header_name;
use super::context::Context;
use super::policies::{Owner, of_requests};
use crate::decode::{At, FromScalar as _, Many, Named, Size, Word};
use crate::model::{
    BodyEdit, BodyEdits, HeaderEdit, HeaderEdits, JsonPath, Setting, Value, ValuePart,
};
use crate::pattern::PathPattern;
use crate::raw::{OrOff, RawBodyEdit, RawBodyEdits, RawHeaderEdit, RawHeaderEdits, RawPolicies};
use crate::yaml::Spot;
use http::HeaderName;

/// `body.*.max` when it is not written.
const MAX_BODY: u64 = 1024 * 1024;

/// Headers that belong to one connection, or that the proxy makes to fit the message.
const CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn headers(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RawHeaderEdits>>>,
    owner: &Owner,
) -> Setting<HeaderEdits> {
    match of_requests(cx, "headers", raw, owner).map(|raw| raw.value) {
        None => Setting::Inherited,
        Some(OrOff::Off) => Setting::Off,
        Some(OrOff::On(RawHeaderEdits { request, response, .. })) => Setting::On(HeaderEdits {
            request: header_edit(cx, request),
            response: header_edit(cx, response),
        }),
    }
}

pub(super) fn body(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RawBodyEdits>>>,
    owner: &Owner,
) -> Setting<BodyEdits> {
    match of_requests(cx, "body", raw, owner).map(|raw| raw.value) {
        None => Setting::Inherited,
        Some(OrOff::Off) => Setting::Off,
        Some(OrOff::On(RawBodyEdits { request, response, .. })) => Setting::On(BodyEdits {
            request: body_edit(cx, request),
            response: body_edit(cx, response),
        }),
    }
}

fn header_edit(cx: &mut Context<'_>, raw: Option<RawHeaderEdit>) -> HeaderEdit {
    let Some(RawHeaderEdit { remove, set, add, .. }) = raw else { return HeaderEdit::default() };
    let remove = remove.map(|names| names.0).unwrap_or_default();
    let remove = remove.into_iter().map(|At { spot, value: Word(value) }| At { spot, value });
    let set = set.map(|set| set.0).unwrap_or_default();
    let add = add.map(|add| add.0).unwrap_or_default();
    HeaderEdit {
        remove: remove.filter_map(|name| editable(cx, &name)).collect(),
        set: set
            .into_iter()
            .filter_map(|(name, value)| Some((editable(cx, &name)?, value.value)))
            .collect(),
        add: add
            .into_iter()
            .filter_map(|(name, Many(values))| Some((editable(cx, &name)?, values)))
            .flat_map(|(name, values)| values.into_iter().map(move |it| (name.clone(), it.value)))
            .collect(),
    }
}

/// The header, unless it is nobody's to change.
fn editable(cx: &mut Context<'_>, name: &At<String>) -> Option<HeaderName> {
    let header = header_name(cx, name)?;
    let (why, hint) = match header.as_str() {
        "host" => (
            "is decided by the service",
            "preserve_host: true passes the client's on; otherwise it is that of the url",
        ),
        "x-request-id" => (
            "is the proxy's",
            "trusted peers may send their own; for a copy set another header to {{ request.id }}",
        ),
        text if CONNECTION.contains(&text) => {
            ("belongs to the connection", "remove it; it is set to fit the message")
        }
        _ => return Some(header),
    };
    cx.push(name.spot.error(format!("the header {header} {why}")).hint(hint));
    None
}

fn body_edit(cx: &mut Context<'_>, raw: Option<RawBodyEdit>) -> Option<BodyEdit> {
    let RawBodyEdit { remove, set, max, .. } = raw?;
    let max = max.map(|At { spot, value: Size(max) }| {
        if max == 0 {
            cx.push(
                spot.error("no body is as small as 0 bytes")
                    .hint("write a size such as 1MiB, or body: none for no edits"),
            );
        }
        max
    });
    let remove = remove.map(|paths| paths.0).unwrap_or_default();
    let remove: Vec<_> = remove.into_iter().filter_map(|path| part(cx, path)).collect();
    let set: Vec<_> = set
        .map(|Named(set)| set)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(path, value)| {
            let read = JsonPath::from_text(&path.value);
            Some((cx.check(&path.spot, read)?, value))
        })
        .collect();
    let edits = !remove.is_empty() || !set.is_empty();
    edits.then_some(BodyEdit { remove, set, max: max.unwrap_or(MAX_BODY) })
}

/// A path to something that can be taken away.
fn part(cx: &mut Context<'_>, path: At<JsonPath>) -> Option<JsonPath> {
    if path.value.steps.is_empty() {
        cx.push(
            path.spot
                .error("$ is the whole body, which cannot be removed")
                .hint("name a part of it, such as $.secret, or set \"$\" to something else"),
        );
        return None;
    }
    Some(path.value)
}

/// Reports places that a route's path can never fill in.
pub(super) fn check_names(cx: &mut Context<'_>, raw: &RawPolicies, pattern: &PathPattern) {
    let Some(OrOff::On(edits)) = raw.headers.as_ref().map(|headers| &headers.value) else { return };
    let known = pattern.names();
    for edit in [&edits.request, &edits.response].into_iter().flatten() {
        let set = edit.set.iter().flat_map(|set| &set.0).map(|(_, value)| value);
        let add = edit.add.iter().flat_map(|add| &add.0).flat_map(|(_, values)| &values.0);
        for value in set.chain(add) {
            check_value(cx, value, pattern, &known);
        }
    }
}

fn check_value(cx: &mut Context<'_>, value: &At<Value>, pattern: &PathPattern, known: &[&str]) {
    for part in &value.value.parts {
        let ValuePart::Path(name) = part else { continue };
        if !known.contains(&name.as_str()) {
            cx.push(unfilled(&value.spot, name, pattern, known));
        }
    }
}

fn unfilled(
    spot: &Spot,
    name: &str,
    pattern: &PathPattern,
    known: &[&str],
) -> crate::problem::Problem {
    let problem =
        spot.error(format!("request.path.{name} does not stand in the matched path {pattern}"));
    match known {
        [] => problem.hint(format!("write {{{name}}} for a segment of the path")),
        known => problem.hint(format!("known names: {}", known.join(", "))),
    }
}
