//! `compression`: answers in the encoding that the client prefers, by way of tower-http.
//!
//! Which answers are left alone is decided here. Streams stay streams: the encoder is flushed
//! whenever the service has nothing more to read for now.

use futures_util::FutureExt as _;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
};
use http::{Extensions, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use smallvec::SmallVec;
use std::convert::Infallible;
use std::future::ready;
use stitch_net::Body;
use tower::{Service as _, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::{Compression, CompressionBody};

/// Below this many bytes the frame of an encoding and its header weigh more than they save.
const LEAST: u64 = 256;

/// Headers that say something about the bytes as they are.
const BOUND_TO_BYTES: [HeaderName; 6] = [
    CONTENT_ENCODING,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Types that are compressed already, have a way of their own, or may be anything.
const LEFT_ALONE: [&str; 19] = [
    "text/event-stream",
    "application/octet-stream",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/zstd",
    "application/x-7z-compressed",
    "application/x-rar-compressed",
    "application/vnd.rar",
    "application/x-bzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/x-compress",
    "application/java-archive",
    "application/vnd.android.package-archive",
    "application/pdf",
    "application/ogg",
    "font/woff",
    "font/woff2",
];

/// Beginnings of such types.
const FAMILIES_LEFT_ALONE: [&str; 7] = [
    "application/grpc",
    "application/vnd.openxmlformats-officedocument",
    "application/vnd.oasis.opendocument",
    "image/",
    "video/",
    "audio/",
    "multipart/",
];

/// Pictures that are text, or as plain as text.
const PICTURES_IN_PLAIN: [&str; 4] =
    ["image/svg+xml", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon"];

/// What one request says about encodings, kept until its answer is there.
#[derive(Clone, Debug)]
pub struct Negotiation {
    accepted: SmallVec<[HeaderValue; 1]>,
}

impl Negotiation {
    /// Of a request whose answer may have a body.
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        if matches!(*request.method(), Method::HEAD | Method::CONNECT) {
            return None;
        }
        let accepted = request.headers().get_all(ACCEPT_ENCODING).iter().cloned().collect();
        Some(Self { accepted })
    }

    /// The answer, compressed if both sides are better off with it.
    pub fn apply(&self, response: Response<Body>) -> Response<Body> {
        if !is_worth_it(&response) {
            return response;
        }
        let mut request = Request::new(());
        for value in &self.accepted {
            request.headers_mut().append(ACCEPT_ENCODING, value.clone());
        }
        let mut response = Some(response);
        let answer = service_fn(move |_: Request<()>| {
            ready(Ok::<_, Infallible>(response.take().unwrap_or_default()))
        });
        let always = |_: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| true;
        let mut compression =
            Compression::new(answer).quality(CompressionLevel::Fastest).compress_when(always);
        let answered = compression.call(request).now_or_never();
        let Ok(response) = answered.expect("an answer that is there is not waited for");
        if !response.headers().contains_key(CONTENT_ENCODING) {
            // The body as it came.
            return response.map(CompressionBody::into_inner);
        }
        let mut response = response.map(Body::boxed);
        weaken(response.headers_mut());
        response
    }
}

/// Other bytes are another representation: what was equal to the byte no longer is (RFC 9110
/// §8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}

fn is_worth_it(response: &Response<Body>) -> bool {
    let headers = response.headers();
    has_content(response.status())
        && length(response).is_none_or(|length| length >= LEAST)
        && !BOUND_TO_BYTES.iter().any(|name| headers.contains_key(name))
        && headers.get(ACCEPT_RANGES).is_none_or(|ranges| ranges == "none")
        && !forbids_transformation(headers)
        && headers.get(CONTENT_TYPE).is_some_and(is_compressible)
}

fn has_content(status: StatusCode) -> bool {
    let without = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    !status.is_informational()
        && !without.contains(&status)
        && status != StatusCode::PARTIAL_CONTENT
}

fn length(response: &Response<Body>) -> Option<u64> {
    let declared = || response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    response.body().size_hint().exact().or_else(declared)
}

fn forbids_transformation(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(','));
    directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

fn is_compressible(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let begins = |family: &&str| {
        essence.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family))
    };
    let is = |name: &&str| essence.eq_ignore_ascii_case(name);
    if PICTURES_IN_PLAIN.iter().any(is) {
        return true;
    }
    essence.contains('/')
        && !LEFT_ALONE.iter().any(is)
        && !FAMILIES_LEFT_ALONE.iter().any(begins)
        && !essence.to_ascii_lowercase().ends_with("+zip")
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
