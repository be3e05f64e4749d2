//! What a request asks for and is known by.

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use std::cell::Cell;

/// Made by us unless a trusted peer sent it; travels both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Digits of a request id.
const ID: usize = 16;
/// Ids made at once: they share one allocation.
const BATCH: usize = 64;

thread_local! {
    /// Ids that were made and not yet used.
    static IDS: Cell<Bytes> = const { Cell::new(Bytes::new()) };
}

/// A fresh request id: 64 random bits in hex.
pub fn new_request_id() -> HeaderValue {
    let mut ids = IDS.take();
    if ids.is_empty() {
        ids = new_ids();
    }
    let id = ids.split_to(ID);
    IDS.set(ids);
    let mut id =
        HeaderValue::from_maybe_shared(id).unwrap_or_else(|_| HeaderValue::from_static("0"));
    // HTTP/2 would put it into its table, where nobody ever asks for it again.
    id.set_sensitive(true);
    id
}

fn new_ids() -> Bytes {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = Vec::with_capacity(BATCH * ID);
    for _ in 0..BATCH {
        let bits = fastrand::u64(..);
        digits.extend((0..ID).map(|digit| HEX[(bits >> (4 * digit) & 15) as usize]));
    }
    digits.into()
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
        let ids: std::collections::HashSet<_> = (0..3 * BATCH).map(|_| new_request_id()).collect();
        assert_eq!(ids.len(), 3 * BATCH);
        assert!(ids.iter().all(|id| id.len() == ID && id.as_bytes().is_ascii()));
    }
}
