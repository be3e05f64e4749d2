//! Trace context as a service without a tracing library handles it: pass it on, and log its id.
//!
//! The headers of W3C, B3 and Jaeger are copied unread; a trace is whole only when every hop does so.

use axum::http::{HeaderMap, HeaderName};

const NAMES: [&str; 6] =
    ["traceparent", "tracestate", "baggage", "b3", "uber-trace-id", "x-request-id"];

/// B3 in its many-header form, and whatever an extension of it adds.
const B3_PREFIX: &str = "x-b3-";

/// The trace headers among `headers`, to be sent along with a call made on behalf of this request.
pub fn trace_headers(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| is_trace(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .fold(HeaderMap::new(), |mut kept, (name, value)| {
            kept.append(name, value);
            kept
        })
}

fn is_trace(name: &HeaderName) -> bool {
    NAMES.contains(&name.as_str()) || name.as_str().starts_with(B3_PREFIX)
}

/// The trace id of a request, from the first format that carries one.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    text("traceparent")
        .and_then(|value| value.split('-').nth(1))
        .or_else(|| text("x-b3-traceid"))
        // `b3: 0` is a bare sampling decision, without an id.
        .or_else(|| text("b3").and_then(|value| value.split_once('-')).map(|(id, _)| id))
        .or_else(|| text("uber-trace-id").and_then(|value| value.split(':').next()))
        .filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn only_trace_headers_are_passed_on_and_every_value_of_them() {
        let kept = trace_headers(&headers(&[
            ("traceparent", "00-aa-bb-01"),
            ("baggage", "a=1"),
            ("baggage", "b=2"),
            ("x-b3-traceid", "cc"),
            ("x-b3-parentspanid", "dd"),
            ("uber-trace-id", "ee:ff:0:1"),
            ("x-request-id", "r1"),
            ("authorization", "Bearer secret"),
            ("content-length", "12"),
        ]));
        assert_eq!(kept.len(), 7);
        assert_eq!(kept.get_all("baggage").iter().count(), 2);
        assert!(!kept.contains_key("authorization"));
    }

    #[test]
    fn the_trace_id_is_found_in_every_format() {
        for (name, value, id) in [
            ("traceparent", "00-4bf92f-00f067-01", Some("4bf92f")),
            ("x-b3-traceid", "80f198", Some("80f198")),
            ("b3", "80f198-e457b5-1", Some("80f198")),
            ("b3", "0", None),
            ("uber-trace-id", "5af7:1234:0:1", Some("5af7")),
            ("traceparent", "garbage", None),
            ("x-request-id", "r1", None),
        ] {
            assert_eq!(trace_id(&headers(&[(name, value)])), id, "{name}: {value}");
        }
    }
}
