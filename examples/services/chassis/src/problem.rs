//! The one shape of every error answer: `application/problem+json` (RFC 9457) with a `detail` that says
//! what to do and, when one input is to blame, its `field`.
//!
//! Handlers return it as their error. The two fallbacks make sure that a wrong path or method has it too.

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An error answer. `detail` is for the caller and names the value that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// A problem with any status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), field: None }
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: `field` is fine by itself and clashes with what is stored.
    pub fn conflict(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail).at(field)
    }

    /// 422: the request is well formed and `field` breaks a rule.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).at(field)
    }

    /// 507: the store is at its bound, `capacity` entries.
    pub fn full(what: &str, capacity: usize) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            format!("the store holds its {capacity} {what} already; delete some first"),
        )
    }

    /// Names the input that is to blame.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The status the caller will see.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the caller will read.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The input that is to blame, where there is one.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let wire = Wire {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        let mut response = (self.status, Json(wire)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// The answer to a path that no route has.
pub(crate) async fn no_route(uri: Uri) -> Problem {
    Problem::not_found(format!("no route `{}`; see /docs for the ones there are", uri.path()))
}

/// The answer to a route asked with a method it does not have; axum adds `allow`.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("`{}` does not take {method}; see /docs", uri.path()),
    )
}
