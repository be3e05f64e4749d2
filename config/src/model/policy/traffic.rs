//! `mirror:`, `cors:`, and answers that the proxy gives itself.

use crate::data::Data;
use http::{HeaderName, HeaderValue, Method};
use std::sync::Arc;
use std::time::Duration;

/// `mirror`: a copy of a share of the requests goes to another service; its answers are thrown away.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// `to`: a declared service.
    pub to: Arc<str>,
    /// `percent`, from 0 to 1. Default 1.
    pub share: f64,
    /// Copies in flight at once; more are not made. Default 64.
    pub max: u32,
    /// Largest body that is copied; requests with larger ones are not mirrored. Default 64 KiB.
    pub max_body: u64,
}

/// `cors`: what other origins may ask a browser to do here.
#[derive(Clone, Debug, PartialEq)]
pub struct Cors {
    /// `origins`.
    pub origins: Origins,
    /// `methods`. Default: whichever is asked for.
    pub methods: Option<Vec<Method>>,
    /// `headers` that requests may have. Default: whichever are asked for.
    pub headers: Option<Vec<HeaderName>>,
    /// `expose`: headers of answers that scripts may read. Default: grpc-status, grpc-message and
    /// x-request-id.
    pub expose: Vec<HeaderName>,
    /// `credentials`: cookies and authorization may travel along.
    pub credentials: bool,
    /// `max_age`: how long a browser may remember the answer. Default 10 min.
    pub max_age: Duration,
}

/// Whose scripts may call.
#[derive(Clone, Debug, PartialEq)]
pub enum Origins {
    /// `"*"`.
    Any,
    /// These, compared without case; `*` inside stands for one or more labels
    /// (`https://*.example.com`) or any port (`http://localhost:*`).
    Only(Vec<String>),
}

/// An answer that the proxy gives itself: `respond` of a route, and `fallback`.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// 200 to 599. Default 200.
    pub status: u16,
    /// Headers, in order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Text as it is, anything else as JSON; `None` is no body.
    pub body: Option<Data>,
}
