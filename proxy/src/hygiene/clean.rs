//! What is taken off.

use super::kind::{Kind, kind};
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    UPGRADE,
};
use smallvec::SmallVec;

/// What was found while cleaning a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `Upgrade`, when it was asked for and can be passed on (not h2c).
    pub upgrade: Option<HeaderValue>,
    /// The raw value of `Proxy-Authorization`.
    pub proxy_authorization: Option<HeaderValue>,
    /// Whether there is a `Via`.
    pub via: bool,
    /// Whether there is an `x-request-id`.
    pub request_id: bool,
    /// Whether there is a `grpc-timeout`.
    pub deadline: bool,
}

/// Takes hop-by-hop headers off a request, and forwarding headers too unless the peer is trusted.
pub fn clean_request(headers: &mut HeaderMap, trusted: bool) -> Found {
    let mut doomed: SmallVec<[HeaderName; 8]> = SmallVec::new();
    let mut found = Found::default();
    for name in headers.keys() {
        match kind(name) {
            Kind::HopByHop => doomed.push(name.clone()),
            Kind::Forwarding if !trusted => doomed.push(name.clone()),
            Kind::Via => found.via = true,
            Kind::RequestId => found.request_id = true,
            Kind::Deadline => found.deadline = true,
            Kind::Forwarding | Kind::Host | Kind::Length | Kind::Other => {}
        }
    }
    if doomed.is_empty() {
        return found;
    }
    if doomed.contains(&CONNECTION) {
        let tokens = connection_tokens(headers);
        if tokens.contains(&UPGRADE) {
            found.upgrade = headers.get(UPGRADE).filter(|value| !is_h2c(value)).cloned();
        }
        doomed.extend(tokens.into_iter().filter(|name| !is_protected(name)));
    }
    found.proxy_authorization = headers.get(PROXY_AUTHORIZATION).cloned();
    let trailers = headers.get_all(TE).iter().any(|value| lists(value, "trailers"));
    for name in &doomed {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    found
}

/// Takes hop-by-hop headers off a response whose framing has been read already. `Trailer` stays, so
/// that trailers can pass.
pub fn clean_response(headers: &mut HeaderMap) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if kind(name) == Kind::HopByHop || *name == PROXY_AUTHENTICATE {
            doomed.push(name.clone());
        }
    }
    if doomed.contains(&CONNECTION) {
        let tokens = connection_tokens(headers);
        doomed.extend(tokens.into_iter().filter(|name| !is_protected(name)));
    }
    for name in &doomed {
        headers.remove(name);
    }
}

fn connection_tokens(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok())
        .take(32)
        .collect()
}

/// Headers that a `Connection` token may not remove: they carry identity, routing or framing.
fn is_protected(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "authorization"
            | "forwarded"
            | "cookie"
            | "set-cookie"
            | "content-length"
            | "via"
            | "x-request-id"
            | "trailer"
    ) || name.as_str().starts_with("x-forwarded-")
}

fn is_h2c(value: &HeaderValue) -> bool {
    lists(value, "h2c")
}

fn lists(value: &HeaderValue, token: &str) -> bool {
    let value = value.to_str().unwrap_or_default();
    value
        .split(',')
        .any(|part| part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hygiene::testing::{headers, names};

    #[test]
    fn hop_by_hop_headers_and_those_they_name_are_removed() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-Secret"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic dXNlcnM6"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
            ("trailer", "x-sum"),
        ]);
        let found = clean_request(&mut map, false);
        assert_eq!(names(&map), ["accept", "trailer"]);
        assert_eq!(found.proxy_authorization.unwrap(), "Basic dXNlcnM6");
        assert_eq!(found.upgrade, None);
    }

    #[test]
    fn connection_cannot_remove_what_carries_identity() {
        let mut map = headers(&[
            ("connection", "host, authorization, x-forwarded-for, forwarded, cookie"),
            ("host", "users"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("cookie", "a=b"),
        ]);
        clean_request(&mut map, true);
        assert_eq!(
            names(&map),
            ["authorization", "cookie", "forwarded", "host", "x-forwarded-for"]
        );
    }

    #[test]
    fn forwarding_headers_are_only_believed_from_trusted_peers() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-stitch-service", "a"), ("forwarded", "x")];
        let mut map = headers(&lines);
        clean_request(&mut map, false);
        assert!(map.is_empty());
        let mut map = headers(&lines);
        clean_request(&mut map, true);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn te_trailers_survives_and_names_itself() {
        let mut map = headers(&[("connection", "te"), ("te", "gzip, trailers;q=0.5")]);
        clean_request(&mut map, false);
        assert_eq!(map["te"], "trailers");
        assert_eq!(map["connection"], "te");
    }

    #[test]
    fn an_upgrade_is_found_but_h2c_is_not() {
        let mut map = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(clean_request(&mut map, false).upgrade.unwrap(), "websocket");
        assert!(map.is_empty());
        let mut map = headers(&[
            ("connection", "Upgrade, HTTP2-Settings"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAM"),
        ]);
        assert_eq!(clean_request(&mut map, false).upgrade, None);
        assert!(map.is_empty());
    }

    #[test]
    fn responses_lose_the_same_headers_but_keep_cookies() {
        let mut map = headers(&[
            ("connection", "close, set-cookie, x-internal"),
            ("x-internal", "1"),
            ("set-cookie", "a=b"),
            ("keep-alive", "timeout=5"),
            ("trailer", "x-sum"),
        ]);
        clean_response(&mut map);
        assert_eq!(names(&map), ["set-cookie", "trailer"]);
    }
}
