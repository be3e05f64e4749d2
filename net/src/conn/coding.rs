//! Transfer codings: hyper takes `chunked` off and lets others through beneath it.
//!
//! Nobody behind us could tell that a body is still coded once `Transfer-Encoding` is off, so such
//! requests are refused (RFC 9112 §6.1).

use http::Request;
use http::header::TRANSFER_ENCODING;
use http_body::Body;

/// Why a request's body is refused; the connection is closed after the 400.
pub(super) fn refuse<B: Body>(request: &Request<B>) -> Option<&'static str> {
    // Most requests have no body and are not asked further.
    if request.body().is_end_stream() {
        return None;
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let first = codings.next()?;
    let only = first.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    (!only).then_some("the request has a transfer coding besides chunked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Empty, Full};

    fn refused(codings: &[&str]) -> bool {
        let mut builder = Request::builder();
        for coding in codings {
            builder = builder.header(TRANSFER_ENCODING, *coding);
        }
        refuse(&builder.body(Full::new(bytes::Bytes::from("body"))).unwrap()).is_some()
    }

    #[test]
    fn chunked_alone_passes() {
        assert!(!refused(&[]) && !refused(&["chunked"]) && !refused(&["Chunked"]));
        for codings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"]] {
            assert!(refused(codings), "{codings:?}");
        }
        let empty = Request::builder().header(TRANSFER_ENCODING, "gzip, chunked");
        assert_eq!(refuse(&empty.body(Empty::<bytes::Bytes>::new()).unwrap()), None);
    }
}
