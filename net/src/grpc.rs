//! What everybody has to know of gRPC: how its callers are told that something failed.
//!
//! A gRPC caller looks at `grpc-status`, not at the status of HTTP. An answer without messages says
//! it in its headers ("Trailers-Only", gRPC over HTTP/2 §Responses).

use crate::reason::Reason;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// How the call ended, as a number.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The same in words, percent-encoded.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long the caller waits.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// `DEADLINE_EXCEEDED`.
pub const DEADLINE_EXCEEDED: u8 = 4;

/// Longest message, in bytes before encoding: headers have a bound.
const MESSAGE: usize = 1024;

/// The content type to answer a gRPC caller with; `None` for everybody else. gRPC-Web counts.
pub fn content_type(request: &HeaderMap) -> Option<&HeaderValue> {
    request.get(CONTENT_TYPE).filter(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// How a call ended, as trailers or, without messages, as headers.
pub fn status(code: u8, message: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code)));
    if let Ok(message) = HeaderValue::try_from(encode(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    headers
}

/// The code that tells a gRPC caller of a reason.
pub fn code(reason: Reason) -> u8 {
    match reason {
        Reason::ClientClosed => 1,
        Reason::BadRequest => 3,
        Reason::TimeoutConnect
        | Reason::TimeoutFirstByte
        | Reason::TimeoutPerTry
        | Reason::TimeoutRequest
        | Reason::HeaderTimeout => DEADLINE_EXCEEDED,
        Reason::Denied => 7,
        Reason::TooLarge | Reason::RateLimited => 8,
        Reason::NoService | Reason::NoEndpoint | Reason::MethodNotAllowed => 12,
        Reason::UpstreamProtocol | Reason::TemplateError | Reason::Loop => 13,
        Reason::Draining
        | Reason::NoHealthyEndpoint
        | Reason::Overloaded
        | Reason::BreakerOpen
        | Reason::ConnectRefused
        | Reason::ConnectDns
        | Reason::ConnectTls
        | Reason::UpstreamReset
        | Reason::Fault => 14,
        Reason::Unauthenticated => 16,
    }
}

/// Percent-encodes what cannot stand in a header, and the percent sign.
fn encode(message: &str) -> String {
    let mut end = message.len().min(MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mut text = String::with_capacity(end);
    for byte in message[..end].bytes() {
        match byte {
            b'%' => text.push_str("%25"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                text.push('%');
                text.push(char::from(HEX[usize::from(other >> 4)]));
                text.push(char::from(HEX[usize::from(other & 15)]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_encoded_and_bounded() {
        assert_eq!(encode("100% größer\n"), "100%25 gr%C3%B6%C3%9Fer%0A");
        let long = "ä".repeat(MESSAGE);
        assert_eq!(encode(&long).len(), MESSAGE * 3);
    }

    #[test]
    fn grpc_is_told_by_the_content_type() {
        let mut headers = HeaderMap::new();
        assert_eq!(content_type(&headers), None);
        for (value, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web-text", true),
            ("application/json", false),
        ] {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(content_type(&headers).is_some(), is, "{value}");
        }
    }

    #[test]
    fn every_reason_has_a_code_that_is_an_error() {
        for reason in Reason::ALL {
            assert!((1..=16).contains(&code(*reason)), "{reason}");
        }
    }
}
