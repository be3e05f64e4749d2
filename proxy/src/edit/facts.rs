//! What header values may be filled in with.

use crate::hygiene::address_value;
use crate::route::query_pairs;
use http::{HeaderMap, HeaderValue, Uri};
use std::net::IpAddr;
use stitch_config::model::ValuePart;
use stitch_config::pattern::{Captures, PathPattern};

/// A request as it came, for one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The path of the route that claimed it, if one did.
    pub pattern: Option<&'a PathPattern>,
    /// What was asked for, before any rewrite.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its id.
    pub request_id: &'a HeaderValue,
    /// Who connected; nobody did for requests that events cause.
    pub client: Option<IpAddr>,
}

impl<'a> Facts<'a> {
    /// What the names of the route's path stand for.
    pub(super) fn captures(&self) -> Option<Captures<'a>> {
        self.pattern?.captures(self.uri.path())
    }

    /// A value filled in; `None` if that is no value that a header can have.
    pub(super) fn fill(
        &self,
        parts: &[ValuePart],
        captures: Option<&Captures<'_>>,
    ) -> Option<HeaderValue> {
        // What is a header value already is copied: no work.
        match parts {
            [ValuePart::RequestId] => return Some(self.request_id.clone()),
            [ValuePart::ClientIp] if self.client.is_some() => {
                return self.client.map(address_value);
            }
            [ValuePart::Header(name)] => {
                let value = self.headers.get(name).cloned();
                return Some(value.unwrap_or_else(|| HeaderValue::from_static("")));
            }
            _ => {}
        }
        let mut out = Vec::with_capacity(64);
        for part in parts {
            match part {
                ValuePart::Text(text) => out.extend_from_slice(text.as_bytes()),
                ValuePart::Path(name) => {
                    let value = captures.and_then(|captures| captures.get(name));
                    out.extend_from_slice(value.unwrap_or_default().as_bytes());
                }
                ValuePart::Query(name) => {
                    let mut pairs = query_pairs(self.uri.query().unwrap_or_default());
                    let found = pairs.find(|(key, _)| key == name);
                    out.extend(found.map(|(_, value)| value.into_bytes()).unwrap_or_default());
                }
                ValuePart::Header(name) => {
                    let value = self.headers.get(name).map(HeaderValue::as_bytes);
                    out.extend_from_slice(value.unwrap_or_default());
                }
                ValuePart::RequestId => out.extend_from_slice(self.request_id.as_bytes()),
                ValuePart::TraceId => {
                    out.extend_from_slice(trace_id(self.headers).unwrap_or_default().as_bytes());
                }
                ValuePart::ClientIp => {
                    if let Some(client) = self.client {
                        out.extend_from_slice(address_value(client).as_bytes());
                    }
                }
            }
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(out)).ok()
    }
}

/// The trace that a request belongs to: of `traceparent`, else of `b3`, else of `x-b3-traceid`.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let w3c = || {
        // Two of them say nothing (W3C Trace Context §3.2.1).
        let lone = headers.get_all("traceparent").iter().count() == 1;
        let (version, rest) = text("traceparent").filter(|_| lone)?.split_once('-')?;
        let (id, _) = rest.split_once('-')?;
        (version.len() == 2 && version != "ff" && id.len() == 32).then_some(id)
    };
    let b3 = || Some(text("b3")?.split_once('-')?.0);
    [w3c(), b3(), text("x-b3-traceid")].into_iter().flatten().find(|id| is_id(id))
}

/// 64 or 128 bits in hexadecimal, and not all zero.
fn is_id(id: &str) -> bool {
    matches!(id.len(), 16 | 32)
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn the_trace_is_told_by_the_first_format_that_makes_sense() {
        const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const B3: &str = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1";
        let b3 = "80f198ee56343ba864fe8b2a57d3eff7";
        for (lines, id) in [
            (&[("traceparent", W3C), ("b3", B3)][..], Some(ID)),
            (&[("b3", B3)], Some(b3)),
            (&[("traceparent", W3C), ("traceparent", W3C), ("b3", B3)], Some(b3)),
            (&[("traceparent", "00-00000000000000000000000000000000-1-1"), ("b3", B3)], Some(b3)),
            (&[("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-1-1")], None),
            (&[("x-b3-traceid", "a3ce929d0e0e4736")], Some("a3ce929d0e0e4736")),
            (&[("b3", "0"), ("x-b3-traceid", "a3ce929d0e0e4736")], Some("a3ce929d0e0e4736")),
            (&[("x-b3-traceid", "no such id")], None),
            (&[], None),
        ] {
            assert_eq!(trace_id(&headers(lines)), id, "{lines:?}");
        }
    }
}
