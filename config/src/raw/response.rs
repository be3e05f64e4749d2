//! `response:` — a status, a text, a descriptor or the body itself.
//!
//! A map is a descriptor only if it has `body`, `file`, `stream`, `proxy` or an integer `status`, and
//! no key but those that descriptors know. Any other map **is** the JSON body, so that older files,
//! which wrote bodies there, keep working.

use super::endpoint::RawDescriptor;
use crate::data::{Data, Text};
use crate::decode::{Capability, Decode, Defs, FromScalar as _, Status};
use crate::problem::Report;
use crate::yaml::{Entry, Kind, Node, Scalar, Value};
use serde_json::{Value as Json, json};

/// Keys that a descriptor may have; one other key makes a map the body.
const KEYS: [&str; 8] =
    ["status", "headers", "body", "file", "stream", "dribble", "proxy", "times"];

/// What `response:` holds.
#[derive(Clone, Debug)]
pub(crate) enum RawResponse {
    /// `204`.
    Status(u16),
    /// `hello`.
    Text(Text),
    /// A descriptor.
    Descriptor(RawDescriptor),
    /// The JSON body itself.
    Body(Data),
}

impl Decode for RawResponse {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) => scalar_response(node, scalar, report),
            Value::List(_) => {
                let wrong = Capability::MockDepth.refuse("response: [ … ]");
                let mut problem = wrong.at(node.spot.place, &node.spot.path);
                problem.hint = problem.hint.map(|hint| {
                    format!("a list of successive answers is {hint}; for a list as body write response: {{ body: [ … ] }}")
                });
                report.push(problem);
                None
            }
            Value::Map(entries) if is_descriptor(entries) => {
                RawDescriptor::decode(node, report).map(Self::Descriptor)
            }
            Value::Map(entries) => {
                warn_about_status(entries, report);
                Some(Self::Body(node.to_data()))
            }
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({
            "anyOf": [
                Status::schema(defs),
                { "type": "string" },
                RawDescriptor::schema(defs),
                { "type": "object" },
            ]
        })
    }
}

fn scalar_response(node: &Node, scalar: &Scalar, report: &mut Report) -> Option<RawResponse> {
    match &scalar.kind {
        Kind::Text => {
            Some(RawResponse::Text(Text { text: scalar.text.clone(), place: node.spot.place }))
        }
        Kind::Number(number) => match Status::from_number(number, &scalar.text) {
            Ok(status) => Some(RawResponse::Status(status.0)),
            Err(wrong) => {
                let wrong = wrong.hint("for a number as body write response: { body: … }");
                report.push(wrong.at(node.spot.place, &node.spot.path));
                None
            }
        },
        Kind::Bool(_) | Kind::Null | Kind::Reported => {
            report.push(
                node.error(format!("expected a status, text or a map, found {}", node.describe()))
                    .hint(format!("for this as body write response: {{ body: {} }}", scalar.text)),
            );
            None
        }
    }
}

fn is_descriptor(entries: &[Entry]) -> bool {
    let marks = |entry: &Entry| match entry.key.as_str() {
        "body" | "file" | "stream" | "proxy" => true,
        "status" => is_integer(&entry.value),
        _ => false,
    };
    entries.iter().any(marks) && entries.iter().all(|entry| KEYS.contains(&entry.key.as_str()))
}

fn is_integer(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(Scalar { kind: Kind::Number(number), .. }) if !number.is_f64())
}

fn warn_about_status(entries: &[Entry], report: &mut Report) {
    let status = entries.iter().find(|entry| entry.key == "status" && is_integer(&entry.value));
    let foreign = entries.iter().find(|entry| !KEYS.contains(&entry.key.as_str()));
    if let (Some(status), Some(foreign)) = (status, foreign) {
        report.push(
            status
                .value
                .spot
                .warning(format!(
                    "this map is the body, because of {:?}, so \"status\" is part of the body",
                    foreign.key
                ))
                .hint("to set the status code, write response: { status: …, body: { … } }"),
        );
    }
}
