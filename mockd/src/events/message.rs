//! One event, and which headers travel from requests to events and back.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// How many times an event may lead to another before it is taken for a loop.
pub(super) const MAX_HOPS: u32 = 16;
/// How many events led to a request or message.
pub(super) const HOPS: HeaderName = HeaderName::from_static("x-stitch-hops");
/// Trace context, copied as it is.
pub(super) const TRACE: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("b3"),
];
const CONTENT_TYPE: &str = "content-type";

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it is published to.
    pub subject: String,
    /// Headers in order; names compare without case.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
    /// Where an answer is expected.
    pub reply: Option<String>,
}

impl Message {
    /// A message without headers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), headers: Vec::new(), payload: payload.into(), reply: None }
    }

    /// A message with a value as payload: text as it is, everything else as JSON.
    pub(crate) fn of(subject: String, data: Value, mut headers: Vec<(String, String)>) -> Self {
        let (payload, content_type) = match data {
            Value::String(text) => (text, "text/plain; charset=utf-8"),
            json => (json.to_string(), "application/json"),
        };
        headers.insert(0, (CONTENT_TYPE.to_owned(), content_type.to_owned()));
        Self { headers, ..Self::new(subject, payload) }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// How many events led to this one.
    pub(super) fn hops(&self) -> u32 {
        // What cannot be read did not come from here, and so starts anew.
        self.header(HOPS.as_str()).and_then(|hops| hops.parse().ok()).unwrap_or(0)
    }

    /// The headers of a message that this one leads to.
    pub(super) fn follow_up(&self) -> Vec<(String, String)> {
        let trace = TRACE.into_iter().filter_map(|name| {
            self.header(name.as_str()).map(|value| (name.to_string(), value.to_owned()))
        });
        trace.chain([hop(self.hops())]).collect()
    }
}

/// The headers that a request hands on to the events it leads to.
pub(crate) fn carried_headers(request: &HeaderMap) -> Vec<(String, String)> {
    let text = |name: &HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    let trace =
        TRACE.into_iter().filter_map(|name| Some((name.to_string(), text(&name)?.to_owned())));
    let hops = text(&HOPS).and_then(|hops| hops.parse().ok()).map(hop);
    trace.chain(hops).collect()
}

fn hop(before: u32) -> (String, String) {
    (HOPS.to_string(), before.saturating_add(1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn traces_travel_and_hops_grow() {
        let mut request = HeaderMap::new();
        request.insert("traceparent", HeaderValue::from_static("00-a-b-01"));
        request.insert("cookie", HeaderValue::from_static("secret"));
        assert_eq!(carried_headers(&request), [("traceparent".to_owned(), "00-a-b-01".to_owned())]);
        request.insert(HOPS, HeaderValue::from_static("3"));
        let message = Message::of("a".to_owned(), serde_json::json!({}), carried_headers(&request));
        assert_eq!(message.hops(), 4);
        assert_eq!(message.header("Content-Type"), Some("application/json"));
        let follow_up = Message { headers: message.follow_up(), ..Message::new("b", "") };
        assert_eq!((follow_up.hops(), follow_up.header("traceparent")), (5, Some("00-a-b-01")));
    }

    #[test]
    fn text_is_sent_as_it_is() {
        let message = Message::of("a".to_owned(), "plain".into(), Vec::new());
        assert_eq!(message.payload, "plain");
        assert_eq!(message.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(message.hops(), 0);
    }
}
