//! Why an answer did not come from where the caller meant: one enum for `x-stitch-reason`, the
//! access log, metric labels and spans.

use http::{HeaderName, HeaderValue};
use std::fmt;

/// The header that carries a [`Reason`].
pub const REASON: HeaderName = HeaderName::from_static("x-stitch-reason");
/// `real` or `mock`: who answered.
pub const SOURCE: HeaderName = HeaderName::from_static("x-stitch-source");
/// The id of the mock endpoint that answered.
pub const ENDPOINT: HeaderName = HeaderName::from_static("x-stitch-endpoint");
/// The service a trusted proxy names when it hands a request to `stitch mockd`.
pub const SERVICE: HeaderName = HeaderName::from_static("x-stitch-service");

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $status:literal;)*) => {
        /// Why we answered in place of a service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in headers, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status a caller gets.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The reason that a header names.
            pub fn of(value: &HeaderValue) -> Option<Self> {
                let named = |reason: &&Self| reason.as_str().as_bytes() == value.as_bytes();
                Self::ALL.iter().find(named).copied()
            }

            /// The name as a header value.
            pub fn header(self) -> HeaderValue {
                HeaderValue::from_static(self.as_str())
            }
        }
    };
}

reasons! {
    /// Nothing claims the request.
    NoService => "no_service", 404;
    /// The service is known, but no endpoint of its mock matches.
    NoEndpoint => "no_endpoint", 404;
    /// The endpoint exists, but not for this method.
    MethodNotAllowed => "method_not_allowed", 405;
    /// Nobody has said who is asking, or not so that it can be believed.
    Unauthenticated => "unauthenticated", 401;
    /// Not allowed: a target outside `forward`, or a caller without the right to it.
    Denied => "denied", 403;
    /// A proxy-made answer while shutting down.
    Draining => "draining", 503;
    /// More requests than `rate_limit` lets through.
    RateLimited => "rate_limited", 429;
    /// More requests at once than `concurrency` lets through.
    Overloaded => "overloaded", 503;
    /// The service's breaker, or its route's, is open.
    BreakerOpen => "breaker_open", 503;
    /// No upstream could be tried.
    NoHealthyEndpoint => "no_healthy_endpoint", 503;
    /// The upstream refused the connection, or it could not be reached.
    ConnectRefused => "connect_refused", 502;
    /// The upstream's name does not resolve.
    ConnectDns => "connect_dns", 502;
    /// The upstream was reached, but TLS with it failed.
    ConnectTls => "connect_tls", 502;
    /// Connecting took longer than `timeout.connect`.
    TimeoutConnect => "timeout_connect", 504;
    /// An attempt had no response headers within `timeout.first_byte`.
    TimeoutFirstByte => "timeout_first_byte", 504;
    /// An attempt had no response headers within `timeout.per_try`.
    TimeoutPerTry => "timeout_per_try", 504;
    /// No response headers within `timeout.request`.
    TimeoutRequest => "timeout_request", 504;
    /// The upstream closed or reset the connection before answering.
    UpstreamReset => "upstream_reset", 502;
    /// The upstream's answer is not HTTP, or too large.
    UpstreamProtocol => "upstream_protocol", 502;
    /// The request came back to us.
    Loop => "loop", 508;
    /// The request is malformed.
    BadRequest => "bad_request", 400;
    /// The request body is larger than `limits.body`.
    TooLarge => "too_large", 413;
    /// The header section was not finished in time.
    HeaderTimeout => "header_timeout", 408;
    /// A mock's template failed.
    TemplateError => "template_error", 500;
    /// A declared share of calls fails (`failure_rate`, later faults).
    Fault => "fault", 500;
    /// The caller went away.
    ClientClosed => "client_closed", 499;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
