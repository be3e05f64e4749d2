//! `request`, `response` and `message` as templates see them. Built only when a template runs;
//! bodies are parsed only when one asks.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, Value};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The request that is being answered.
#[derive(Debug)]
pub(crate) struct RequestView {
    pub(crate) parts: Parts,
    /// What the pattern's names stood for, `rest` for `**` included.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) body: Bytes,
    parsed: OnceLock<Value>,
}

/// The members of `request`.
pub(super) const REQUEST: [&str; 9] =
    ["method", "path", "path_text", "query", "headers", "body", "body_text", "url", "host"];
/// The members of `response`.
pub(super) const RESPONSE: [&str; 3] = ["status", "headers", "body"];
/// The members of `message`.
pub(super) const MESSAGE: [&str; 4] = ["subject", "data", "headers", "count"];

impl RequestView {
    pub(crate) fn new(parts: Parts, params: Vec<(String, String)>, body: Bytes) -> Self {
        Self { parts, params, body, parsed: OnceLock::new() }
    }

    /// The body as JSON, form fields or text.
    pub(super) fn body_value(&self) -> &Value {
        self.parsed.get_or_init(|| {
            let content_type =
                self.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            body_value(&self.body, content_type.unwrap_or_default())
        })
    }

    pub(super) fn param(&self, name: &str) -> Option<Value> {
        let (_, value) = self.params.iter().find(|(known, _)| known == name)?;
        Some(Value::from(value.as_str()))
    }

    pub(super) fn query(&self) -> Vec<(String, String)> {
        form_fields(self.parts.uri.query().unwrap_or_default())
    }

    fn host(&self) -> &str {
        let from_header = || self.parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        match self.parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => from_header().unwrap_or_default(),
        }
    }

    fn url(&self) -> String {
        let scheme = self.parts.uri.scheme_str().unwrap_or("http");
        let path = self.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        format!("{scheme}://{}{path}", self.host())
    }
}

impl Object for RequestView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "method" => Value::from(self.parts.method.as_str()),
            "path" => Value::from_object(PathView {
                text: self.parts.uri.path().to_owned(),
                params: self.params.clone(),
            }),
            "path_text" => Value::from(self.parts.uri.path()),
            "query" => Fields::value(self.query(), false),
            "headers" => Fields::value(header_fields(&self.parts.headers), true),
            "body" => self.body_value().clone(),
            "body_text" => Value::from(String::from_utf8_lossy(&self.body)),
            "url" => Value::from(self.url()),
            "host" => Value::from(self.host()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&REQUEST)
    }
}

/// The answer, as headers and events see it.
#[derive(Debug)]
pub(crate) struct ResponseView {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// Set when they are rendered; publishes see them.
    pub(crate) headers: OnceLock<HeaderMap>,
}

impl Object for ResponseView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "status" => Value::from(self.status.as_u16()),
            "body" => self.body.clone(),
            "headers" => {
                Fields::value(self.headers.get().map(header_fields).unwrap_or_default(), true)
            }
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&RESPONSE)
    }
}

/// The event that is being reacted to.
#[derive(Debug)]
pub(crate) struct MessageView {
    pub(crate) subject: String,
    pub(crate) data: Value,
    pub(crate) headers: Vec<(String, String)>,
    /// How many messages the subscription has had, this one included.
    pub(crate) count: u64,
}

impl MessageView {
    /// The payload as JSON, or as text where it is not.
    pub(crate) fn new(
        subject: &str,
        payload: &[u8],
        headers: &[(String, String)],
        count: u64,
    ) -> Self {
        let data = body_value(payload, "application/json");
        Self { subject: subject.to_owned(), data, headers: headers.to_vec(), count }
    }
}

impl Object for MessageView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "subject" => Value::from(self.subject.as_str()),
            "data" => self.data.clone(),
            "headers" => Fields::value(self.headers.clone(), true),
            "count" => Value::from(self.count),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&MESSAGE)
    }
}

/// `request.path`: text, whose members are what the names stood for.
#[derive(Debug)]
struct PathView {
    text: String,
    params: Vec<(String, String)>,
}

impl Object for PathView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let (_, value) = self.params.iter().find(|(known, _)| known == name)?;
        Some(Value::from(value.as_str()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Fields by name; of several with one name, the first.
#[derive(Debug)]
struct Fields {
    entries: Vec<(String, String)>,
    /// Header names: any case, `_` for `-`.
    headers: bool,
}

impl Fields {
    fn value(entries: Vec<(String, String)>, headers: bool) -> Value {
        let mut first: Vec<(String, String)> = Vec::with_capacity(entries.len());
        for entry in entries {
            if !first.iter().any(|(known, _)| *known == entry.0) {
                first.push(entry);
            }
        }
        Value::from_object(Self { entries: first, headers })
    }

    fn is(&self, known: &str, asked: &str) -> bool {
        known == asked
            || self.headers
                && known.len() == asked.len()
                && known.bytes().zip(asked.bytes()).all(|(known, asked)| {
                    known.eq_ignore_ascii_case(&asked) || known == b'-' && asked == b'_'
                })
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let (_, value) = self.entries.iter().find(|(known, _)| self.is(known, name))?;
        Some(Value::from(value.as_str()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.entries.iter().map(|(name, _)| Value::from(name.as_str())).collect(),
        )
    }
}

fn header_fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// `a=1&b=two+words` decoded, in order.
fn form_fields(text: &str) -> Vec<(String, String)> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// JSON as templates see it.
pub(crate) fn to_value(json: impl Serialize) -> Value {
    Value::from(Serde(json))
}

fn body_value(bytes: &[u8], content_type: &str) -> Value {
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return Fields::value(form_fields(&String::from_utf8_lossy(bytes)), false);
    }
    // JSON is recognised by itself: callers often forget the content type.
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(json) => to_value(json),
        Err(_) => Value::from(String::from_utf8_lossy(bytes)),
    }
}
