//! Errors as people and programs read them: `application/problem+json` (RFC 9457), or the same as
//! text for callers that ask for text.

use crate::body::Body;
use crate::grpc;
use crate::reason::{REASON, Reason};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// An error answer before it is rendered.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// The status; usually the reason's own.
    pub status: StatusCode,
    /// What went wrong, naming service, address and cause.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Further members (`service`, `address`, `errno`, `nearest`, …), in this order.
    pub members: Map<String, Value>,
}

impl Problem {
    /// A problem with the reason's usual status.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        Self { reason, status, detail: detail.into(), hint: None, members: Map::new() }
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.members.insert(key.to_owned(), value.into());
        self
    }

    /// The answer: for gRPC callers their own kind, for others the form that `Accept` prefers.
    pub fn respond(&self, request: &HeaderMap) -> Response<Body> {
        if let Some(content_type) = grpc::content_type(request) {
            return self.respond_grpc(content_type);
        }
        let (content_type, text) = if prefers_text(request) {
            ("text/plain; charset=utf-8", self.to_text())
        } else {
            ("application/problem+json", self.to_json())
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(REASON, self.reason.header());
        response.extensions_mut().insert(self.reason);
        response
    }

    /// An answer without messages (Trailers-Only). HTTP itself did not fail.
    fn respond_grpc(&self, content_type: &HeaderValue) -> Response<Body> {
        let message = match &self.hint {
            Some(hint) => format!("{} ({hint})", self.detail),
            None => self.detail.clone(),
        };
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        *headers = grpc::status(grpc::code(self.reason), &message);
        headers.insert(CONTENT_TYPE, content_type.clone());
        headers.insert(REASON, self.reason.header());
        response.extensions_mut().insert(self.reason);
        response
    }

    fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("type".into(), format!("urn:stitch:{}", self.reason).into());
        object.insert("title".into(), self.title().into());
        object.insert("status".into(), self.status.as_u16().into());
        object.insert("detail".into(), self.detail.as_str().into());
        object.insert("reason".into(), self.reason.as_str().into());
        object.extend(self.members.clone());
        if let Some(hint) = &self.hint {
            object.insert("hint".into(), hint.as_str().into());
        }
        let mut text = serde_json::to_string_pretty(&Value::Object(object)).unwrap_or_default();
        text.push('\n');
        text
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} {}: {}\n", self.status.as_u16(), self.title(), self.detail);
        for (key, value) in &self.members {
            match value {
                Value::String(value) => {
                    let _ = writeln!(text, "  {key}: {value}");
                }
                Value::Array(items) => {
                    let _ = writeln!(text, "  {key}:");
                    for item in items {
                        let _ = writeln!(text, "    - {}", flat(item));
                    }
                }
                other => {
                    let _ = writeln!(text, "  {key}: {}", flat(other));
                }
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }
}

/// One line for a JSON value: maps as `key: value, …`.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let parts: Vec<_> =
                members.iter().map(|(key, value)| format!("{key}: {}", flat(value))).collect();
            parts.join("; ")
        }
        other => other.to_string(),
    }
}

/// Whether the first media type of `Accept` that we can serve is text. Quality values are not
/// weighed: a person who writes `Accept: text/plain` gets text, everybody else JSON.
fn prefers_text(request: &HeaderMap) -> bool {
    let accept = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for media_type in accept.flat_map(|value| value.split(',')) {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if media_type.starts_with("text/") {
            return true;
        }
        if media_type.contains("json") || media_type == "*/*" || media_type == "application/*" {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn rendered(problem: &Problem, accept: Option<&'static str>) -> (String, String) {
        let mut request = HeaderMap::new();
        if let Some(accept) = accept {
            request.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let response = problem.respond(&request);
        assert_eq!(response.extensions().get(), Some(&problem.reason));
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    fn problem() -> Problem {
        Problem::new(Reason::ConnectRefused, "users at 127.0.0.1:8000 refused the connection")
            .with("service", "users")
            .with("nearest", vec![serde_json::json!({"endpoint": "a", "differs": ["path"]})])
            .hint("start it")
    }

    #[tokio::test]
    async fn json_unless_text_is_asked_for() {
        let (content_type, body) = rendered(&problem(), None).await;
        assert_eq!(content_type, "application/problem+json");
        let json: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["type"], "urn:stitch:connect_refused");
        assert_eq!(json["status"], 502);
        assert_eq!(json["service"], "users");
        assert_eq!(json["hint"], "start it");
        assert_eq!(rendered(&problem(), Some("*/*")).await.0, "application/problem+json");
    }

    #[test]
    fn grpc_callers_are_told_in_their_headers() {
        let mut request = HeaderMap::new();
        request.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
        let response = problem().respond(&request);
        assert_eq!(response.status(), 200);
        assert!(http_body::Body::is_end_stream(response.body()));
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/grpc+proto");
        assert_eq!(headers["grpc-status"], "14");
        let message = "users at 127.0.0.1:8000 refused the connection (start it)";
        assert_eq!(headers["grpc-message"], message);
        assert_eq!(headers["x-stitch-reason"], "connect_refused");
    }

    #[tokio::test]
    async fn text_says_the_same() {
        let (content_type, body) = rendered(&problem(), Some("text/html, */*")).await;
        assert_eq!(content_type, "text/plain; charset=utf-8");
        assert_eq!(
            body,
            "502 Bad Gateway: users at 127.0.0.1:8000 refused the connection\n  service: users\n  \
             nearest:\n    - endpoint: a; differs: path\n  hint: start it\n"
        );
    }
}
