//! What a request asks for and is known by.

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};

/// Made by us unless a trusted peer sent it; travels both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A fresh request id: 64 random bits in hex.
pub fn new_request_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 16];
    let mut bits = fastrand::u64(..);
    for digit in &mut text {
        *digit = HEX[(bits & 15) as usize];
        bits >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// The host that a request asked for: the authority of an absolute URI wins over `Host`.
pub fn requested_host(headers: &HeaderMap, uri: &http::Uri) -> Option<HeaderValue> {
    match uri.authority() {
        Some(authority) => {
            // User and password in front of the host are nobody else's business.
            let text = authority.as_str();
            HeaderValue::try_from(text.rsplit_once('@').map_or(text, |(_, host)| host)).ok()
        }
        None => headers.get(HOST).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ() {
        let (one, two) = (new_request_id(), new_request_id());
        assert_eq!(one.len(), 16);
        assert_ne!(one, two);
    }
}
