//! What is taken off a request or response on its way through, and what is put on.
//!
//! Rules: RFC 9110 §7.6.1 (hop-by-hop), RFC 9112 §6, design "HTTP hygiene". hyper strips nothing
//! for us.

use http::HeaderMap;
use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::header::{Entry, OccupiedEntry};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::net::IpAddr;

/// Made by us unless a trusted peer sent it; travels both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

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
}

/// What a header is to us, by its name alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    HopByHop,
    Forwarding,
    Via,
    RequestId,
    Host,
    Other,
}

fn kind(name: &HeaderName) -> Kind {
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
        other if other.starts_with("x-forwarded-") || other.starts_with("x-stitch-") => {
            Kind::Forwarding
        }
        _ => Kind::Other,
    }
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
            Kind::Forwarding | Kind::Host | Kind::Other => {}
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

/// Takes hop-by-hop headers off a response. `Trailer` stays, so that trailers can pass.
pub fn clean_response(headers: &mut HeaderMap) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if kind(name) == Kind::HopByHop || *name == PROXY_AUTHENTICATE {
            doomed.push(name.clone());
        }
    }
    if doomed.contains(&CONNECTION) && !only_persistence(headers) {
        let tokens = connection_tokens(headers);
        doomed.extend(tokens.into_iter().filter(|name| !is_protected(name)));
    }
    if doomed.contains(&TRANSFER_ENCODING) {
        // It was overridden, so it is not the length of what follows (RFC 9112 §6.3).
        doomed.push(CONTENT_LENGTH);
    }
    for name in &doomed {
        headers.remove(name);
    }
}

/// Whether a message's body is in a coding that is not taken off on the way, so that without its
/// `Transfer-Encoding` it would pass for the content itself.
pub fn is_transfer_coded(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    values.any(|value| !matches_any(value, &["chunked", "identity"]))
}

fn matches_any(value: &HeaderValue, codings: &[&str]) -> bool {
    let value = value.to_str().unwrap_or("?");
    value.split(',').map(str::trim).all(|part| codings.iter().any(|c| part.eq_ignore_ascii_case(c)))
}

/// Whether `Connection` says no more than how long the connection lives, as it mostly does.
fn only_persistence(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    values.all(|value| {
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    })
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

/// How a request's head is made for one endpoint.
#[derive(Debug)]
pub struct Outbound<'a> {
    /// `Host`.
    pub host: HeaderValue,
    /// Our mark.
    pub via: &'a ViaToken,
    /// Passed on when the client asked for it.
    pub upgrade: Option<&'a HeaderValue>,
    /// For declared services only; other targets see nothing of us but `Via`.
    pub marks: Option<Marks<'a>>,
}

/// What a declared service is told about the call.
#[derive(Debug)]
pub struct Marks<'a> {
    /// Who connected to us; nobody did for requests that events cause.
    pub peer: Option<IpAddr>,
    /// The host that the client asked for.
    pub host: Option<&'a HeaderValue>,
    /// `x-request-id`.
    pub request_id: &'a HeaderValue,
}

impl Outbound<'_> {
    /// The head to send. `cleaned` is the request's own after [`clean_request`]; it stays as it is,
    /// so that another attempt can be made from it.
    pub fn headers(&self, cleaned: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(cleaned.len() + 8);
        headers.append(HOST, self.host.clone());
        for (name, value) in cleaned {
            match kind(name) {
                Kind::Host => {}
                Kind::RequestId if self.marks.is_some() => {}
                _ => {
                    headers.append(name, value.clone());
                }
            }
        }
        if let Some(marks) = &self.marks {
            headers.append(REQUEST_ID, marks.request_id.clone());
            if let Some(peer) = marks.peer {
                add_forwarded(&mut headers, peer, marks.host);
            }
        }
        if let Some(upgrade) = self.upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, upgrade.clone());
        }
        self.via.add(&mut headers);
        headers
    }
}

/// Adds x-forwarded-* (and continues `forwarded` where a trusted peer began one).
fn add_forwarded(headers: &mut HeaderMap, peer: IpAddr, host: Option<&HeaderValue>) {
    let address = address_value(peer);
    match headers.entry(X_FORWARDED_FOR) {
        Entry::Vacant(entry) => {
            entry.insert(address);
        }
        Entry::Occupied(mut entry) => {
            continue_list(&mut entry, address.to_str().unwrap_or_default());
        }
    }
    headers.entry(X_FORWARDED_PROTO).or_insert_with(|| HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.entry(X_FORWARDED_HOST).or_insert_with(|| host.clone());
    }
    if let Entry::Occupied(mut entry) = headers.entry(FORWARDED) {
        let node = match peer {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        continue_list(&mut entry, &format!("for={node};proto=http"));
    }
}

/// Joins every line of a header into one, with a further member at its end.
fn continue_list(entry: &mut OccupiedEntry<'_, HeaderValue>, member: &str) {
    let mut list = Vec::new();
    for value in entry.iter() {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(list)) {
        entry.insert(value);
    }
}

thread_local! {
    /// The last peer's address as a header value: callers come in bursts from one address.
    static LAST_PEER: RefCell<Option<(IpAddr, HeaderValue)>> = const { RefCell::new(None) };
}

fn address_value(address: IpAddr) -> HeaderValue {
    LAST_PEER.with_borrow_mut(|last| match last {
        Some((known, value)) if *known == address => value.clone(),
        _ => {
            let value = HeaderValue::try_from(address.to_canonical().to_string())
                .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
            *last = Some((address, value.clone()));
            value
        }
    })
}

/// Our mark in `Via`: tells a request that came back from one that only passed another `stitch`.
#[derive(Clone, Debug)]
pub struct ViaToken {
    pseudonym: String,
    value: HeaderValue,
}

impl ViaToken {
    /// A mark for this process.
    pub fn new(id: u64) -> Self {
        let pseudonym = format!("stitch-{id:012x}");
        let value = HeaderValue::try_from(format!("1.1 {pseudonym}"))
            .unwrap_or_else(|_| HeaderValue::from_static("1.1 stitch"));
        Self { pseudonym, value }
    }

    /// How often the request has been here before.
    pub fn times_in(&self, headers: &HeaderMap) -> usize {
        let lines = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
        let hops = lines.flat_map(|line| line.split(','));
        hops.filter(|hop| hop.split_whitespace().nth(1) == Some(&self.pseudonym)).count()
    }

    /// Adds the mark behind what earlier proxies wrote.
    pub fn add(&self, headers: &mut HeaderMap) {
        headers.append(VIA, self.value.clone());
    }
}

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

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        map
    }

    /// Sorted: removing a header moves another into its place.
    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

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

    fn outbound(cleaned: &HeaderMap, marked: bool) -> HeaderMap {
        let (via, host) = (ViaToken::new(1), HeaderValue::from_static("shop.localhost"));
        let id = HeaderValue::from_static("r1");
        let peer = Some("10.0.0.9".parse().unwrap());
        let marks = marked.then_some(Marks { peer, host: Some(&host), request_id: &id });
        let host = HeaderValue::from_static("users:8000");
        Outbound { host, via: &via, upgrade: None, marks }.headers(cleaned)
    }

    #[test]
    fn forwarded_headers_grow_at_the_end() {
        let map = outbound(&headers(&[("host", "x"), ("x-request-id", "old")]), true);
        assert_eq!(map["host"], "users:8000");
        assert_eq!(map["x-request-id"], "r1");
        assert_eq!(map["x-forwarded-for"], "10.0.0.9");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert_eq!(map["x-forwarded-host"], "shop.localhost");
        assert_eq!(map["via"], "1.1 stitch-000000000001");
        let map = outbound(
            &headers(&[
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "first"),
                ("forwarded", "for=10.0.0.1"),
                ("via", "1.0 fred"),
            ]),
            true,
        );
        assert_eq!(map["x-forwarded-for"], "10.0.0.1, 10.0.0.9");
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-forwarded-host"], "first");
        assert_eq!(map["forwarded"], "for=10.0.0.1, for=10.0.0.9;proto=http");
        assert_eq!(map.get_all(VIA).iter().count(), 2);
    }

    #[test]
    fn undeclared_targets_see_nothing_of_us_but_via() {
        let map = outbound(&headers(&[("host", "x"), ("cookie", "a"), ("cookie", "b")]), false);
        assert_eq!(names(&map), ["cookie", "host", "via"]);
        assert_eq!(map.get_all("cookie").iter().count(), 2);
    }

    #[test]
    fn a_loop_is_known_by_our_own_mark_only() {
        let (ours, theirs) = (ViaToken::new(1), ViaToken::new(2));
        let mut map = headers(&[("via", "1.0 fred, 1.1 other")]);
        theirs.add(&mut map);
        assert_eq!(ours.times_in(&map), 0);
        ours.add(&mut map);
        assert_eq!((ours.times_in(&map), theirs.times_in(&map)), (1, 1));
        assert_eq!(map.get_all(VIA).iter().count(), 3);
    }

    #[test]
    fn request_ids_differ() {
        let (one, two) = (new_request_id(), new_request_id());
        assert_eq!(one.len(), 16);
        assert_ne!(one, two);
    }
}
