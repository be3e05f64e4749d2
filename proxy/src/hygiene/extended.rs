//! Upgrades in HTTP/2: there a client asks by CONNECT with a `:protocol` (RFC 8441), and the rest of
//! the proxy sees what HTTP/1 would have said.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;

/// Turns an extended CONNECT into the GET that it means; returns what to switch to.
pub fn extended_connect<B>(request: &mut Request<B>) -> Option<HeaderValue> {
    if request.version() != Version::HTTP_2 {
        return None;
    }
    let protocol: Protocol = request.extensions_mut().remove()?;
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    if protocol.as_str().eq_ignore_ascii_case("websocket") {
        // HTTP/2 has no use for the key (RFC 8441 §5), and HTTP/1 cannot do without.
        let key = BASE64_STANDARD.encode(fastrand::u128(..).to_le_bytes());
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).ok()?);
        headers.entry(SEC_WEBSOCKET_VERSION).or_insert_with(|| HeaderValue::from_static("13"));
    }
    HeaderValue::from_str(protocol.as_str()).ok()
}

/// Turns a GET that asks for an upgrade into the extended CONNECT that an endpoint of HTTP/2 takes.
pub fn as_extended_connect(request: &mut Request<()>, protocol: &HeaderValue) {
    let protocol = protocol.to_str().unwrap_or_default().to_ascii_lowercase();
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(h2::ext::Protocol::from(protocol.as_str()));
    request.headers_mut().remove(UPGRADE);
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
}

/// Turns an endpoint's consent into what the client is to hear, in the version that it speaks.
pub fn switched<A, B>(response: &mut Response<A>, request: &Request<B>, protocol: HeaderValue) {
    let headers = response.headers_mut();
    if request.version() == Version::HTTP_2 {
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        *response.status_mut() = StatusCode::OK;
        return;
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    // An endpoint of HTTP/2 has not seen the key.
    if let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY)
        && !headers.contains_key(SEC_WEBSOCKET_ACCEPT)
    {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept(key));
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
}

/// The proof that a WebSocket server has read the key (RFC 6455 §4.2.2).
fn accept(key: &HeaderValue) -> HeaderValue {
    let mut digest = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let text = BASE64_STANDARD.encode(digest.finish());
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(protocol: &'static str) -> Request<()> {
        let builder = Request::builder().method("CONNECT").uri("/chat").version(Version::HTTP_2);
        builder.extension(Protocol::from_static(protocol)).body(()).unwrap()
    }

    #[test]
    fn a_websocket_over_http_2_becomes_one_over_http_1() {
        let mut request = connect("websocket");
        assert_eq!(extended_connect(&mut request).unwrap(), "websocket");
        assert_eq!(request.method(), "GET");
        assert_eq!(request.headers()[SEC_WEBSOCKET_KEY].len(), 24);
        assert_eq!(request.headers()[SEC_WEBSOCKET_VERSION], "13");
        assert_eq!(extended_connect(&mut request), None, "there is one upgrade in it");
    }

    #[test]
    fn other_protocols_pass_without_websocket_headers() {
        let mut request = connect("connect-udp");
        assert_eq!(extended_connect(&mut request).unwrap(), "connect-udp");
        assert!(request.headers().is_empty());
        assert_eq!(extended_connect(&mut Request::new(())), None);
    }

    #[test]
    fn the_answer_is_said_in_the_clients_version() {
        let answer = || {
            let builder = Response::builder().status(101).header(SEC_WEBSOCKET_ACCEPT, "x");
            builder.body(()).unwrap()
        };
        let protocol = HeaderValue::from_static("websocket");
        let mut response = answer();
        switched(&mut response, &connect("websocket"), protocol.clone());
        assert_eq!((response.status().as_u16(), response.headers().len()), (200, 0));
        let mut response = answer();
        switched(&mut response, &Request::new(()), protocol);
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()[UPGRADE], "websocket");
        assert_eq!(response.headers()[CONNECTION], "upgrade");
    }

    #[test]
    fn a_websocket_over_http_1_becomes_one_over_http_2() {
        // The key and the proof of RFC 6455 §1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let asked = || {
            let builder = Request::builder().header(UPGRADE, "WebSocket");
            builder.header(SEC_WEBSOCKET_KEY, key).body(()).unwrap()
        };
        let mut request = asked();
        as_extended_connect(&mut request, &HeaderValue::from_static("WebSocket"));
        assert_eq!((request.method(), request.headers().len()), (&Method::CONNECT, 0));
        let protocol = request.extensions().get::<h2::ext::Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        let mut response = Response::new(());
        switched(&mut response, &asked(), HeaderValue::from_static("websocket"));
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
