//! The handler that tells what it received, and how a test may bend its answer.

use super::{Answer, Request};
use crate::http::Headers;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest body that is repeated as text.
const TEXT_LIMIT: usize = 64 << 10;

/// A short fingerprint of bytes, to compare large bodies by (FNV-1a, 64 bits; against accidents,
/// not against enemies).
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

pub(super) fn answer(request: &Request) -> Answer {
    let status = request.query("status").and_then(|status| status.parse().ok()).unwrap_or(200);
    let mut answer = match request.query("bytes").and_then(|count| count.parse().ok()) {
        Some(count) => Answer::new(status, vec![b'x'; count]),
        None => Answer::new(status, describe(request).to_string())
            .header("content-type", "application/json"),
    };
    if let Some((name, value)) = request.query("header").and_then(|field| field.split_once(':')) {
        answer = answer.header(name, value);
    }
    answer.chunked = request.query("chunked").is_some();
    if let Some(delay) = request.query("delay").and_then(|delay| delay.parse().ok()) {
        answer = answer.after(Duration::from_millis(delay));
    }
    answer.close = request.query("close").is_some();
    if let Some(value) = request.query("trailer") {
        answer.chunked = true;
        answer.trailers = Headers(vec![("x-echo-trailer".to_owned(), value.to_owned())]);
        answer = answer.header("trailer", "x-echo-trailer");
    }
    answer
}

fn describe(request: &Request) -> Value {
    let text = std::str::from_utf8(&request.body).ok().filter(|text| text.len() <= TEXT_LIMIT);
    json!({
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "headers": request.headers.0,
        "trailers": request.trailers.0,
        "body_length": request.body.len(),
        "body": text,
        "body_digest": digest(&request.body),
        "connection": request.connection,
        "served": request.served,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Upstream;
    use crate::http::{Connection, get, send};

    #[test]
    fn it_tells_what_it_received() {
        let upstream = Upstream::echo();
        let headers = [("Host", "shop"), ("X-Twice", "a"), ("x-twice", "b")];
        let answer = send(upstream.addr(), "PUT", "/a?b=c", &headers, b"text");
        let told = answer.json();
        assert_eq!(told["method"], "PUT");
        assert_eq!(told["target"], "/a?b=c");
        assert_eq!(told["headers"][1], json!(["X-Twice", "a"]));
        assert_eq!(told["body"], "text");
        assert_eq!(told["body_digest"], digest(b"text"));
        let noted = &upstream.requests()[0];
        assert_eq!((noted.path(), noted.query("b"), noted.query("x")), ("/a", Some("c"), None));
        assert_eq!(noted.header("HOST"), Some("shop"));
    }

    #[test]
    fn chunked_requests_and_trailers_are_understood() {
        let upstream = Upstream::echo();
        let body = b"3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n";
        let headers = [("transfer-encoding", "chunked")];
        let told = send(upstream.addr(), "POST", "/", &headers, body).json();
        assert_eq!(told["body"], "abc");
        assert_eq!(told["trailers"], json!([["x-sum", "3"]]));
    }

    #[test]
    fn the_answer_can_be_bent() {
        let upstream = Upstream::echo();
        let target = "/?status=503&bytes=20000&trailer=sum&header=x-a:b&close&delay=30";
        let start = std::time::Instant::now();
        let answer = get(upstream.addr(), target, &[]);
        assert_eq!((answer.status, answer.body.len()), (503, 20_000));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.trailers.get("x-echo-trailer"), Some("sum"));
        assert_eq!((answer.header("x-a"), answer.header("connection")), (Some("b"), Some("close")));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_client_that_expects_is_told_to_continue() {
        let upstream = Upstream::echo();
        let mut connection = Connection::open(upstream.addr());
        connection.send("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(connection.read_bytes(interim.len()), interim);
        connection.send("ok");
        assert_eq!(connection.read_response().json()["body"], "ok");
    }

    #[test]
    fn an_old_client_and_a_head_are_served() {
        let upstream = Upstream::echo();
        let mut connection = Connection::open(upstream.addr());
        connection.send("HEAD /?status=404 HTTP/1.0\r\n\r\n");
        assert_eq!(connection.read_response_to("HEAD").status, 404);
        assert!(connection.read_to_close().is_empty());
        let answer = get(upstream.addr(), "/?status=204", &[]);
        assert!(answer.body.is_empty() && answer.header("content-length").is_none());
    }

    #[test]
    fn bad_requests_are_refused() {
        let upstream = Upstream::echo();
        for bad in [
            "garbage\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut connection = Connection::open(upstream.addr());
            connection.send(bad);
            assert_eq!(connection.read_response().status, 400, "{bad}");
        }
        for half in ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf"] {
            let mut connection = Connection::open(upstream.addr());
            connection.send(half);
            connection.finish_sending();
            assert!(connection.read_response().text().starts_with("closed inside"));
        }
        assert!(upstream.requests().is_empty(), "none of them was a whole request");
    }

    #[test]
    fn binary_and_large_bodies_are_told_by_digest() {
        let upstream = Upstream::echo_on("127.0.0.1:0".parse().unwrap());
        for body in [vec![0xff; 10], vec![b'a'; TEXT_LIMIT + 1]] {
            let told = send(upstream.addr(), "POST", "/", &[], &body).json();
            assert_eq!(told["body"], Value::Null);
            assert_eq!(told["body_length"], body.len());
            assert_eq!(told["body_digest"], digest(&body));
        }
        assert_ne!(digest(b"a"), digest(b"b"));
    }
}
