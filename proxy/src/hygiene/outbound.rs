//! What is put on a request for one endpoint.

use super::kind::{Kind, kind};
use super::request::REQUEST_ID;
use super::via::ViaToken;
use crate::grpc::Deadline;
use crate::upstream::{HeaderSink, ReadyHeader};
use http::Version;
use http::header::{CONNECTION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::LazyLock;
use stitch_net::Peer;
use stitch_net::grpc::GRPC_TIMEOUT;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Who the caller is by its certificate; the name is Envoy's.
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Which attempt at a request this is.
const X_STITCH_ATTEMPT: HeaderName = HeaderName::from_static("x-stitch-attempt");

static FROM_HTTP: LazyLock<ReadyHeader> =
    LazyLock::new(|| ReadyHeader::new(X_FORWARDED_PROTO, HeaderValue::from_static("http")));
static FROM_HTTPS: LazyLock<ReadyHeader> =
    LazyLock::new(|| ReadyHeader::new(X_FORWARDED_PROTO, HeaderValue::from_static("https")));

/// Nearly all attempts are the first.
static FIRST_ATTEMPT: LazyLock<ReadyHeader> =
    LazyLock::new(|| ReadyHeader::new(X_STITCH_ATTEMPT, HeaderValue::from_static("1")));

/// How a request's head is made for one endpoint.
#[derive(Debug)]
pub struct Outbound<'a> {
    /// `Host`.
    pub host: &'a HeaderValue,
    /// Our mark.
    pub via: &'a ViaToken,
    /// The version of HTTP in which the request came.
    pub version: Version,
    /// Passed on when the client asked for it.
    pub upgrade: Option<&'a HeaderValue>,
    /// When a gRPC caller's patience ends, told with what is left of it.
    pub deadline: Option<Deadline>,
    /// For declared services only; other targets see nothing of us but `Via`.
    pub marks: Option<Marks<'a>>,
}

/// What a declared service is told about the call.
#[derive(Debug)]
pub struct Marks<'a> {
    /// Who connected to us; nobody did for requests that events cause.
    pub peer: Option<&'a Peer>,
    /// The host that the client asked for.
    pub host: Option<&'a HeaderValue>,
    /// `x-request-id`.
    pub request_id: &'a HeaderValue,
    /// `x-stitch-attempt`, where requests are tried more than once: which attempt this is, from 1.
    pub attempt: Option<u32>,
}

impl Outbound<'_> {
    /// Writes the headers to send, a line each, without those of the body's framing. `cleaned` are
    /// the request's own after [`clean_request`]; they stay as they are, so that another attempt can
    /// be made from them.
    pub fn write(&self, cleaned: &HeaderMap, out: &mut impl HeaderSink) {
        out.value(&HOST, self.host);
        let continues = self.marks.as_ref().is_some_and(|marks| marks.peer.is_some());
        let mut forwarded = false;
        let peer = self.marks.as_ref().and_then(|marks| marks.peer);
        let counted = self.marks.as_ref().is_some_and(|marks| marks.attempt.is_some());
        let certified = peer.is_some_and(|peer| peer.tls_certificate.is_some());
        for (name, value) in cleaned {
            match kind(name) {
                Kind::Host | Kind::Length => {}
                Kind::Deadline if self.deadline.is_some() => {}
                // Whoever shows a certificate cannot claim another one.
                Kind::Forwarding if certified && *name == X_FORWARDED_CLIENT_CERT => {}
                Kind::RequestId if self.marks.is_some() => {}
                Kind::Forwarding if counted && *name == X_STITCH_ATTEMPT => {}
                // `te: trailers`, which an upgrade has no use for.
                Kind::HopByHop if self.upgrade.is_some() => {}
                // Only trusted peers get so far with them.
                Kind::Forwarding if continues && is_continued(name) => forwarded = true,
                _ => out.value(name, value),
            }
        }
        if let Some(marks) = &self.marks {
            out.value(&REQUEST_ID, marks.request_id);
            match marks.attempt {
                None => {}
                Some(1) => out.ready(&FIRST_ATTEMPT),
                Some(attempt) => out.value(&X_STITCH_ATTEMPT, &HeaderValue::from(attempt)),
            }
            if let Some(peer) = marks.peer {
                let before = forwarded.then_some(cleaned);
                write_forwarded(out, peer, marks.host, before);
                if let Some(certificate) = &peer.tls_certificate {
                    out.bytes(&X_FORWARDED_CLIENT_CERT, certificate.as_bytes());
                }
            }
        }
        if let Some(deadline) = self.deadline {
            out.value(&GRPC_TIMEOUT, &deadline.header());
        }
        if let Some(upgrade) = self.upgrade {
            out.bytes(&CONNECTION, b"upgrade");
            out.value(&UPGRADE, upgrade);
        }
        out.ready(self.via.of(self.version));
    }
}

/// Headers that are told on by [`write_forwarded`].
fn is_continued(name: &HeaderName) -> bool {
    *name == FORWARDED
        || *name == X_FORWARDED_FOR
        || *name == X_FORWARDED_PROTO
        || *name == X_FORWARDED_HOST
}

/// Writes x-forwarded-*, and `forwarded` where a trusted peer began one. `before` holds what such a
/// peer said.
fn write_forwarded(
    out: &mut impl HeaderSink,
    peer: &Peer,
    host: Option<&HeaderValue>,
    before: Option<&HeaderMap>,
) {
    let address = address_value(peer.remote.ip());
    let proto = if peer.secure { &FROM_HTTPS } else { &FROM_HTTP };
    let Some(before) = before else {
        out.value(&X_FORWARDED_FOR, &address);
        out.ready(proto);
        if let Some(host) = host {
            out.value(&X_FORWARDED_HOST, host);
        }
        return;
    };
    write_list(out, &X_FORWARDED_FOR, before, address.as_bytes());
    for (name, ours) in [(X_FORWARDED_PROTO, Some(proto.value())), (X_FORWARDED_HOST, host)] {
        let mut said = before.get_all(&name).iter().peekable();
        let ours = if said.peek().is_none() { ours } else { None };
        for value in said.chain(ours) {
            out.value(&name, value);
        }
    }
    if before.contains_key(FORWARDED) {
        let node = match peer.remote.ip() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        let proto = if peer.secure { "https" } else { "http" };
        write_list(out, &FORWARDED, before, format!("for={node};proto={proto}").as_bytes());
    }
}

/// Writes every line of a header as one, with a further member at its end.
fn write_list(out: &mut impl HeaderSink, name: &HeaderName, before: &HeaderMap, member: &[u8]) {
    let mut list = Vec::new();
    for value in before.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member);
    out.bytes(name, &list);
}

thread_local! {
    /// The last peer's address as a header value: callers come in bursts from one address.
    static LAST_PEER: RefCell<Option<(IpAddr, HeaderValue)>> = const { RefCell::new(None) };
}

/// An address as a header value, IPv4 in IPv6 as what it is.
pub fn address_value(address: IpAddr) -> HeaderValue {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hygiene::testing::{headers, names};
    use stitch_net::conn::Handle;

    fn outbound(cleaned: &HeaderMap, marked: bool) -> HeaderMap {
        let (via, host) = (ViaToken::new(1), HeaderValue::from_static("shop.localhost"));
        let id = HeaderValue::from_static("r1");
        let remote = "10.0.0.9:1".parse().unwrap();
        let peer = Peer::new(remote, remote, Handle::default());
        let marks = Marks { peer: Some(&peer), host: Some(&host), request_id: &id, attempt: None };
        let marks = marked.then_some(marks);
        let host = HeaderValue::from_static("users:8000");
        let version = Version::HTTP_11;
        let mut out: Vec<u8> = Vec::new();
        Outbound { host: &host, via: &via, version, upgrade: None, deadline: None, marks }
            .write(cleaned, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> =
            text.lines().map(|line| line.split_once(": ").expect("a header line")).collect();
        headers(&lines)
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
        assert_eq!(map.get_all("via").iter().count(), 2);
    }

    #[test]
    fn undeclared_targets_see_nothing_of_us_but_via() {
        let map = outbound(&headers(&[("host", "x"), ("cookie", "a"), ("cookie", "b")]), false);
        assert_eq!(names(&map), ["cookie", "host", "via"]);
        assert_eq!(map.get_all("cookie").iter().count(), 2);
    }
}
