//! The head of a request as an endpoint is to get it, in either version of HTTP.

use super::endpoint::Endpoint;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

/// Writes the head of a request.
pub(crate) trait RequestHead: Sync {
    /// The method.
    fn method(&self) -> &Method;

    /// Whether it asks to switch protocols.
    fn upgrades(&self) -> bool {
        false
    }

    /// The request line and the headers, a CRLF behind each, without those of the framing
    /// (`content-length`, `transfer-encoding`) and without the empty line.
    fn write(&self, out: &mut Vec<u8>);

    /// The same for HTTP/2.
    ///
    /// # Errors
    /// When its target cannot be said in HTTP/2.
    fn h2(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error>;
}

/// A header that many heads have, with its line of HTTP/1 ready to be copied.
#[derive(Clone, Debug)]
pub(crate) struct ReadyHeader {
    name: HeaderName,
    value: HeaderValue,
    line: Box<[u8]>,
}

impl ReadyHeader {
    /// Makes one ready.
    pub fn new(name: HeaderName, value: HeaderValue) -> Self {
        let mut line = Vec::new();
        line.value(&name, &value);
        Self { name, value, line: line.into() }
    }

    /// What it says.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }
}

/// Where headers are written to.
pub(crate) trait HeaderSink {
    /// Adds a header that was made ready.
    fn ready(&mut self, header: &ReadyHeader);

    /// Adds a header that is there already.
    fn value(&mut self, name: &HeaderName, value: &HeaderValue);

    /// Adds a header that was just made.
    fn bytes(&mut self, name: &HeaderName, value: &[u8]);
}

impl HeaderSink for Vec<u8> {
    #[inline]
    fn ready(&mut self, header: &ReadyHeader) {
        self.extend_from_slice(&header.line);
    }

    #[inline]
    fn value(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.bytes(name, value.as_bytes());
    }

    /// One line of HTTP/1.
    #[inline]
    fn bytes(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        self.reserve(name.len() + value.len() + 4);
        self.extend_from_slice(name);
        self.extend_from_slice(b": ");
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }
}

/// The headers of HTTP/2, without what `:authority` says and what it has no use for (RFC 9113 §8.2.2).
pub(crate) struct H2Headers<'a>(pub &'a mut HeaderMap);

impl HeaderSink for H2Headers<'_> {
    fn ready(&mut self, header: &ReadyHeader) {
        self.value(&header.name, &header.value);
    }

    fn value(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name != HOST && *name != CONNECTION {
            self.0.append(name, value.clone());
        }
    }

    fn bytes(&mut self, name: &HeaderName, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.value(name, &value);
        }
    }
}
