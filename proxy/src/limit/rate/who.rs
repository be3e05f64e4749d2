//! Whose request it is, and the key that a rule makes of that.
//!
//! A key is a 64-bit SipHash under a random key of this process, not the text: every key costs the
//! same memory however long a header is, nothing that a client sent is kept, and nobody outside can
//! choose values that meet in one bucket. That two of 100 000 keys meet by chance has odds of about
//! one to four thousand million, and would only make the two share a bucket.

use http::HeaderMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use stitch_config::model::LimitKey;

/// What is known of whoever sent a request.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The client's address; `None` on unix sockets.
    pub ip: Option<IpAddr>,
    /// The headers of its request.
    pub headers: &'a HeaderMap,
    /// The service that is calling, when that is known.
    pub caller: Option<&'a str>,
}

/// Makes keys; one per process, so that a key means the same for as long as its bucket is kept.
#[derive(Debug, Default)]
pub(super) struct Keys(RandomState);

impl Keys {
    /// The key of this request. Requests without what is asked for have one key together.
    pub(super) fn of(&self, by: &LimitKey, who: &Who<'_>) -> u64 {
        let mut hasher = self.0.build_hasher();
        match by {
            LimitKey::ClientIp => {
                if let Some(ip) = who.ip {
                    hasher.write_u128(in_ipv6(ip).to_bits());
                }
            }
            LimitKey::Caller => who.caller.hash(&mut hasher),
            // All lines: which one the service goes by is not known here.
            LimitKey::Header(name) => {
                for value in who.headers.get_all(name) {
                    value.as_bytes().hash(&mut hasher);
                }
            }
        }
        hasher.finish()
    }
}

/// An IPv4 client of a listener on `[::]` is who it is on one of 0.0.0.0.
fn in_ipv6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn key(keys: &Keys, by: &LimitKey, ip: Option<&str>, caller: Option<&str>) -> u64 {
        let ip = ip.map(|ip| ip.parse().unwrap());
        keys.of(by, &Who { ip, headers: &HeaderMap::new(), caller })
    }

    #[test]
    fn addresses_are_told_apart_and_ipv4_is_itself_in_ipv6() {
        let keys = Keys::default();
        let of = |ip| key(&keys, &LimitKey::ClientIp, ip, None);
        assert_eq!(of(Some("10.0.0.1")), of(Some("::ffff:10.0.0.1")));
        assert_ne!(of(Some("10.0.0.1")), of(Some("10.0.0.2")));
        assert_ne!(of(Some("::1")), of(Some("::2")));
        assert_ne!(of(None), of(Some("127.0.0.1")));
    }

    #[test]
    fn callers_and_those_that_are_not_known() {
        let keys = Keys::default();
        let of = |caller| key(&keys, &LimitKey::Caller, None, caller);
        assert_eq!(of(Some("web")), of(Some("web")));
        assert_ne!(of(Some("web")), of(Some("api")));
        assert_ne!(of(None), of(Some("")));
    }

    #[test]
    fn header_values_count_in_full_and_without_one_all_are_alike() {
        let keys = Keys::default();
        let by = LimitKey::Header(HeaderName::from_static("x-api-key"));
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-api-key", HeaderValue::from_static(value));
            }
            headers.append("x-other", HeaderValue::from_static("noise"));
            keys.of(&by, &Who { ip: None, headers: &headers, caller: None })
        };
        assert_eq!(of(&["a"]), of(&["a"]));
        assert_eq!(of(&[]), of(&[]));
        let different = [of(&[]), of(&[""]), of(&["a"]), of(&["b"]), of(&["a", "b"]), of(&["ab"])];
        let distinct: std::collections::HashSet<_> = different.into_iter().collect();
        assert_eq!(distinct.len(), different.len());
    }

    #[test]
    fn another_process_makes_other_keys() {
        let of = |keys: &Keys| key(keys, &LimitKey::Caller, None, Some("web"));
        assert_ne!(of(&Keys::default()), of(&Keys::default()));
    }
}
