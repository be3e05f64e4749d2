//! Who may use `/api/*`: programs of this machine, or holders of the token. Never a web page.
//!
//! A page in a browser can send requests to loopback. It cannot set another `Host` than the name it
//! used (so a name re-pointed to 127.0.0.1 shows), and it always sends its `Origin`.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Uri};
use std::net::IpAddr;
use stitch_config::model::Secret;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No or the wrong token.
    Unauthenticated,
    /// From a web page.
    Foreign(&'static str),
}

/// Checks a request to the API.
pub(crate) fn check(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let same = origin.as_ref().and_then(Uri::authority).is_some_and(|from| from == host);
        if !same {
            return Err(Refusal::Foreign("the request comes from a page of another origin"));
        }
    }
    match token {
        Some(token) => {
            let given = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
            let wanted = format!("Bearer {}", token.reveal());
            match given.is_some_and(|given| same_bytes(given, wanted.as_bytes())) {
                true => Ok(()),
                false => Err(Refusal::Unauthenticated),
            }
        }
        None if is_local_name(host) => Ok(()),
        None => Err(Refusal::Foreign("the Host header names neither localhost nor an address")),
    }
}

/// Compares without telling by its duration where the first difference is.
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn local_programs_may_and_pages_may_not() {
        for host in ["localhost:9900", "127.0.0.1:9900", "[::1]:9900", "LOCALHOST"] {
            assert_eq!(check(&headers(&[("host", host)]), None), Ok(()), "{host}");
        }
        let rebound = headers(&[("host", "evil.example:9900")]);
        assert!(matches!(check(&rebound, None), Err(Refusal::Foreign(_))));
        let page = headers(&[("host", "localhost:9900"), ("origin", "https://evil.example")]);
        assert!(matches!(check(&page, None), Err(Refusal::Foreign(_))));
        let own = headers(&[("host", "localhost:9900"), ("origin", "http://localhost:9900")]);
        assert_eq!(check(&own, None), Ok(()));
        let null = headers(&[("host", "localhost"), ("origin", "null")]);
        assert!(check(&null, None).is_err());
    }

    #[test]
    fn a_token_opens_and_only_the_right_one() {
        let token = Secret::new("s3cret");
        let with = |value| headers(&[("host", "stitch.internal"), ("authorization", value)]);
        assert_eq!(check(&with("Bearer s3cret"), Some(&token)), Ok(()));
        assert_eq!(check(&with("Bearer s3creT"), Some(&token)), Err(Refusal::Unauthenticated));
        assert_eq!(check(&with("s3cret"), Some(&token)), Err(Refusal::Unauthenticated));
        assert_eq!(check(&HeaderMap::new(), Some(&token)), Err(Refusal::Unauthenticated));
    }
}
