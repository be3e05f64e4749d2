//! HTTP/2 requests in the form that HTTP/1 has them in, so that nothing behind the connection needs
//! to know the difference: `:authority` is `Host`, the target is a path, cookies are one line.

use bytes::Bytes;
use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use http::uri::Parts;
use http::{Method, Request, Uri};

/// Rewrites a request's target and headers (RFC 9113 §8.2.3, §8.3.1). CONNECT without a protocol
/// keeps its authority, which is its target.
///
/// # Errors
/// Why it is malformed.
pub(super) fn as_h1<B>(request: &mut Request<B>) -> Result<(), &'static str> {
    let tunnel = *request.method() == Method::CONNECT
        && request.extensions().get::<hyper::ext::Protocol>().is_none();
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::try_from(authority.as_str())
            .map_err(|_| ":authority is not a host name")?;
        match request.headers().get(HOST) {
            Some(named) if !named.as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
                return Err("the Host header and :authority name different hosts");
            }
            Some(_) => {}
            None => {
                request.headers_mut().insert(HOST, host);
            }
        }
        if !tunnel {
            let target = std::mem::take(request.uri_mut());
            *request.uri_mut() = path_of(target)?;
        }
    } else if !tunnel && !request.headers().contains_key(HOST) {
        return Err("the request has neither :authority nor a Host header");
    }
    join_cookies(request.headers_mut());
    Ok(())
}

fn path_of(target: Uri) -> Result<Uri, &'static str> {
    let mut parts = Parts::default();
    parts.path_and_query = target.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|_| ":path is not a path")
}

/// HTTP/2 may split cookies, so that they compress better.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let mut joined = Vec::new();
    for cookie in headers.get_all(COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(joined)) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Request<()>, &'static str> {
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(()).unwrap();
        as_h1(&mut request).map(|()| request)
    }

    #[test]
    fn the_authority_becomes_the_host() {
        let request = normalised("GET", "https://users:8080/x?y=1", &[]).unwrap();
        assert_eq!(request.uri(), "/x?y=1");
        assert_eq!(request.headers()["host"], "users:8080");
        let request = normalised("OPTIONS", "/", &[("host", "users")]).unwrap();
        assert_eq!(
            (request.uri().path(), &request.headers()["host"]),
            ("/", &HeaderValue::from_static("users"))
        );
        normalised("GET", "http://users/", &[("host", "USERS")]).unwrap();
        normalised("GET", "http://users/", &[("host", "orders")]).unwrap_err();
        normalised("GET", "/", &[]).unwrap_err();
    }

    #[test]
    fn a_tunnel_keeps_its_target() {
        let request = normalised("CONNECT", "users:443", &[]).unwrap();
        assert_eq!(request.uri().authority().unwrap(), "users:443");
    }

    #[test]
    fn cookies_are_one_line() {
        let request =
            normalised("GET", "http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")])
                .unwrap();
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
