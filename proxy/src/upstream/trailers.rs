//! Which headers can stand behind a body, either way.
//!
//! Some servers treat trailers as if they had been in the head, so what frames, routes, authorises or
//! says who is calling is taken off (RFC 9110 §6.5.1). HTTP/2 has no place for hop-by-hop ones at all.

use http::{HeaderMap, HeaderName};

/// Takes off what must not stand behind a body; `None` when nothing is left.
pub(super) fn clean(mut trailers: HeaderMap) -> Option<HeaderMap> {
    let doomed: Vec<_> = trailers.keys().filter(|name| !may_be_trailer(name)).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}

fn may_be_trailer(name: &HeaderName) -> bool {
    let name = name.as_str();
    !matches!(
        name,
        "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "expect"
            | "forwarded"
            | "grpc-timeout"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "max-forwards"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
            | "www-authenticate"
            | "x-request-id"
    ) && !name.starts_with("x-forwarded-")
        && !name.starts_with("x-stitch-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn cleaned(names: &[&'static str]) -> Option<Vec<String>> {
        let fields =
            names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
        let left = clean(fields.collect())?;
        Some(left.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn sums_and_the_status_of_a_call_stay() {
        assert_eq!(cleaned(&["x-sum", "host"]), Some(vec!["x-sum".to_owned()]));
        assert_eq!(cleaned(&["grpc-status", "grpc-message"]).unwrap().len(), 2);
    }

    #[test]
    fn what_frames_routes_or_says_who_is_calling_goes() {
        for name in ["content-length", "connection", "x-forwarded-for", "x-stitch-service", "via"] {
            assert_eq!(cleaned(&[name]), None, "{name}");
        }
    }
}
