//! `headers:` and `body:` — changing requests and answers on their way.

use crate::data::Data;
use http::HeaderName;
use std::fmt;

/// Edits of headers, in the order remove, set, add.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    /// On what the service gets.
    pub request: HeaderEdit,
    /// On what the client gets.
    pub response: HeaderEdit,
}

/// Edits of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdit {
    /// `remove`.
    pub remove: Vec<HeaderName>,
    /// `set`: replaces what is there.
    pub set: Vec<(HeaderName, Value)>,
    /// `add`: one more line.
    pub add: Vec<(HeaderName, Value)>,
}

/// A header value with places to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The parts in order; text alone is one part.
    pub parts: Vec<ValuePart>,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                ValuePart::Text(text) => f.write_str(text)?,
                ValuePart::Path(name) => write!(f, "{{{{ request.path.{name} }}}}")?,
                ValuePart::Query(name) => write!(f, "{{{{ request.query.{name} }}}}")?,
                ValuePart::Header(name) => write!(f, "{{{{ request.headers.{name} }}}}")?,
                ValuePart::RequestId => f.write_str("{{ request.id }}")?,
                ValuePart::TraceId => f.write_str("{{ trace.id }}")?,
                ValuePart::ClientIp => f.write_str("{{ client.ip }}")?,
            }
        }
        Ok(())
    }
}

/// A part of a [`Value`]. What a request does not have is empty.
#[derive(Clone, Debug, PartialEq)]
pub enum ValuePart {
    /// As written.
    Text(String),
    /// `{{ request.path.NAME }}`: what `{NAME}` of the route's path holds, decoded.
    Path(String),
    /// `{{ request.query.NAME }}`, decoded.
    Query(String),
    /// `{{ request.headers.NAME }}`.
    Header(HeaderName),
    /// `{{ request.id }}`.
    RequestId,
    /// `{{ trace.id }}`: the trace id of `traceparent`.
    TraceId,
    /// `{{ client.ip }}`.
    ClientIp,
}

/// `body`: edits of JSON bodies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BodyEdits {
    /// What the service gets.
    pub request: Option<BodyEdit>,
    /// What the client gets.
    pub response: Option<BodyEdit>,
}

/// Edits of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyEdit {
    /// `remove`.
    pub remove: Vec<JsonPath>,
    /// `set`: makes what is missing on the way.
    pub set: Vec<(JsonPath, Data)>,
    /// `max`: larger bodies pass unchanged. Default 1 MiB.
    pub max: u64,
}

/// `$.items[*].secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    /// From the root inwards; empty is the root itself.
    pub steps: Vec<JsonStep>,
}

impl fmt::Display for JsonPath {
    /// As it may be written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.steps {
            match step {
                JsonStep::Key(name) if is_bare(name) => write!(f, ".{name}")?,
                JsonStep::Key(name) => {
                    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
                    write!(f, "[\"{escaped}\"]")?;
                }
                JsonStep::Index(index) => write!(f, "[{index}]")?,
                JsonStep::Every => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

/// Whether a name needs no quotes.
fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// One step of a [`JsonPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonStep {
    /// `.name` or `["name"]`.
    Key(String),
    /// `[3]`.
    Index(usize),
    /// `[*]`.
    Every,
}
