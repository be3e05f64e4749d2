//! The `Host` rules of RFC 9112 §3.2 that hyper leaves to us.

use http::header::HOST;
use http::{Request, Version};

/// Why a request's target is refused; the connection is closed after the 400.
pub(super) fn refuse<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("the request has more than one Host header"),
        (None, _) if request.version() >= Version::HTTP_11 => {
            Some("the request has no Host header")
        }
        (Some(host), None) if !is_authority(host.as_bytes()) => {
            Some("the Host header is not a host name")
        }
        _ => None,
    }
}

/// Bytes that can stand in `host[:port]`: none that would end a header or start a path.
const AUTHORITY: [bool; 256] = {
    let mut allowed = [false; 256];
    let listed =
        b"-._~!$&'()*+;=:[]%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut at = 0;
    while at < listed.len() {
        allowed[listed[at] as usize] = true;
        at += 1;
    }
    allowed
};

fn is_authority(host: &[u8]) -> bool {
    host.iter().all(|byte| AUTHORITY[usize::from(*byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, hosts: &[&str]) -> Request<()> {
        let mut builder = Request::builder().version(version);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn exactly_one_host_in_http_1_1() {
        assert!(refuse(&request(Version::HTTP_11, &[])).is_some());
        assert!(refuse(&request(Version::HTTP_11, &["a", "a"])).is_some());
        assert!(refuse(&request(Version::HTTP_10, &["a", "b"])).is_some());
        assert_eq!(refuse(&request(Version::HTTP_11, &["a"])), None);
        assert_eq!(refuse(&request(Version::HTTP_11, &[""])), None);
        assert_eq!(refuse(&request(Version::HTTP_10, &[])), None);
    }

    #[test]
    fn a_host_is_an_authority() {
        for good in ["users", "users:8080", "[::1]:80", "a_b.example", "10.0.0.1"] {
            assert_eq!(refuse(&request(Version::HTTP_11, &[good])), None, "{good}");
        }
        for bad in ["a/b", "a b", "a@b", "a,b", "a?b", "a#b"] {
            assert!(refuse(&request(Version::HTTP_11, &[bad])).is_some(), "{bad}");
        }
    }
}
