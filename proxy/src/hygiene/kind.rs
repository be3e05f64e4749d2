//! What a header is to us, by its name alone.

use http::header::HeaderName;

/// Names that are treated alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    HopByHop,
    Forwarding,
    Via,
    RequestId,
    Host,
    Length,
    Deadline,
    Other,
}

pub(super) fn kind(name: &HeaderName) -> Kind {
    match name.as_str() {
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "transfer-encoding"
        | "upgrade"
        | "proxy-authorization"
        | "http2-settings"
        | "expect" => Kind::HopByHop,
        "forwarded" => Kind::Forwarding,
        "via" => Kind::Via,
        "x-request-id" => Kind::RequestId,
        "host" => Kind::Host,
        "content-length" => Kind::Length,
        "grpc-timeout" => Kind::Deadline,
        other if other.starts_with("x-forwarded-") || other.starts_with("x-stitch-") => {
            Kind::Forwarding
        }
        _ => Kind::Other,
    }
}
