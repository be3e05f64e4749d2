//! What of a request keeps it on one endpoint: the key of `hash:…` and what the cookie of `sticky:…`
//! names.

use crate::cookies::cookie;
use http::HeaderMap;
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;
use std::net::IpAddr;
use stitch_config::model::HashKey;

/// A hash that is the same in every process and version.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(0x7374_6974_6368, 0x6261_6c61_6e63);
    hasher.write(bytes);
    hasher.finish()
}

/// The key of a request; `None` if it has no such thing. `path` gives what a variable of the route's
/// path holds.
pub(super) fn key_of<'p>(
    what: &HashKey,
    headers: &HeaderMap,
    client: Option<IpAddr>,
    path: impl FnOnce(&str) -> Option<&'p [u8]>,
) -> Option<u64> {
    match what {
        HashKey::Header(name) => headers.get(name).map(|value| hash(value.as_bytes())),
        HashKey::Cookie(name) => cookie(headers, name).map(|value| hash(value.as_bytes())),
        HashKey::ClientIp => client.map(|ip| match ip.to_canonical() {
            IpAddr::V4(ip) => hash(&ip.octets()),
            IpAddr::V6(ip) => hash(&ip.octets()),
        }),
        HashKey::Path(name) => path(name).map(hash),
    }
}

/// Which endpoint a cookie names.
pub(super) fn token_of(cookie: &str) -> Option<u64> {
    let hex = cookie.len() == 16 && cookie.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(cookie, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn hashes_never_change() {
        assert_eq!(hash(b""), 15_432_742_194_372_801_569);
    }

    #[test]
    fn keys_of_a_request() {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", HeaderValue::from_static("u1"));
        headers.append(COOKIE, HeaderValue::from_static("a=1; user=\"u1\""));
        headers.append(COOKIE, HeaderValue::from_static("b=2;user=u2"));
        let ip: IpAddr = "10.1.2.3".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        let key = |what: HashKey, ip| {
            key_of(&what, &headers, ip, |name| (name == "id").then_some(b"u1".as_slice()))
        };
        let u1 = Some(hash(b"u1"));
        assert_eq!(key(HashKey::Header(HeaderName::from_static("x-user")), None), u1);
        assert_eq!(key(HashKey::Cookie("user".to_owned()), None), u1);
        assert_eq!(key(HashKey::Path("id".to_owned()), None), u1);
        assert_eq!(key(HashKey::ClientIp, Some(ip)), key(HashKey::ClientIp, Some(mapped)));
        for none in [
            HashKey::Header(HeaderName::from_static("x-other")),
            HashKey::Cookie("use".to_owned()),
            HashKey::Path("name".to_owned()),
            HashKey::ClientIp,
        ] {
            assert_eq!(key(none, None), None);
        }
    }

    #[test]
    fn only_what_we_wrote_names_an_endpoint() {
        assert_eq!(token_of("00000000000000ff"), Some(255));
        for wrong in ["", "ff", "+0000000000000ff", "00000000000000fg", "00000000000000fff"] {
            assert_eq!(token_of(wrong), None, "{wrong}");
        }
    }
}
