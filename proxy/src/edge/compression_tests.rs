//! What is compressed and what is left alone; that streams are flushed, and that nothing is lost.

use super::*;
use async_compression::tokio::write::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures_util::stream::poll_fn;
use http::header::VARY;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use stitch_net::BoxError;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

type Sender = UnboundedSender<Result<Frame<Bytes>, BoxError>>;

/// A body that ends when its sender goes.
fn stream() -> (Sender, Body) {
    let (sender, mut receiver) = unbounded_channel();
    (sender, Body::boxed(StreamBody::new(poll_fn(move |cx| receiver.poll_recv(cx)))))
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(bytes.into()))
}

fn answer(body: impl Into<Body>, lines: &[(&str, &str)]) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    response
}

fn text() -> String {
    "{\"id\":1,\"name\":\"Ada\"},".repeat(1000)
}

/// What is made of an answer when this is accepted.
fn negotiated(accepted: Option<&str>, response: Response<Body>) -> Response<Body> {
    let mut request = Request::new(());
    if let Some(accepted) = accepted {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap());
    }
    Negotiation::of(&request).unwrap().apply(response)
}

fn encoding(response: &Response<Body>) -> Option<&str> {
    response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap())
}

/// Decodes piece by piece, and shows what can be read so far.
struct Reader(Box<dyn Shows>);

trait Shows: AsyncWrite + Unpin {
    fn shown(&self) -> &[u8];
}

macro_rules! shows {
    ($($decoder:ty),+) => {$(
        impl Shows for $decoder {
            fn shown(&self) -> &[u8] {
                self.get_ref()
            }
        }
    )+};
}
shows!(GzipDecoder<Vec<u8>>, BrotliDecoder<Vec<u8>>, ZstdDecoder<Vec<u8>>);

impl Reader {
    fn of(encoding: &str) -> Self {
        Self(match encoding {
            "gzip" => Box::new(GzipDecoder::new(Vec::new())),
            "br" => Box::new(BrotliDecoder::new(Vec::new())),
            "zstd" => Box::new(ZstdDecoder::new(Vec::new())),
            other => panic!("{other}"),
        })
    }

    async fn read(&mut self, bytes: &[u8]) -> String {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
        String::from_utf8(self.0.shown().to_vec()).unwrap()
    }
}

#[tokio::test]
async fn an_answer_is_compressed_as_the_client_accepts_it() {
    for wanted in ENCODINGS {
        let lines = [("content-length", "22000"), ("etag", "\"v1\""), ("vary", "origin")];
        let response = negotiated(Some(wanted), answer(text(), &lines));
        assert_eq!(encoding(&response), Some(wanted));
        let headers = response.headers();
        assert!(!headers.contains_key(CONTENT_LENGTH));
        assert_eq!(headers[ETAG], "W/\"v1\"");
        let vary: Vec<_> = headers.get_all(VARY).iter().collect();
        assert_eq!(vary, ["origin", "accept-encoding"]);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.len() < text().len() / 10, "{wanted}: {}", bytes.len());
        assert_eq!(Reader::of(wanted).read(&bytes).await, text(), "{wanted}");
    }
}

#[test]
fn the_client_chooses() {
    for (accepted, chosen) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br", Some("br")),
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("zstd;q=0, br;q=0, gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("deflate", None),
        ("", None),
    ] {
        assert_eq!(
            encoding(&negotiated(Some(accepted), answer(text(), &[]))),
            chosen,
            "{accepted}"
        );
    }
}

#[test]
fn who_accepts_nothing_gets_the_body_as_it_came() {
    let lines = [("etag", "\"v1\""), ("content-length", "22000")];
    let response = negotiated(None, answer(text(), &lines));
    assert_eq!(encoding(&response), None);
    assert!(matches!(response.body(), Body::Full(_)));
    assert_eq!(response.headers()[ETAG], "\"v1\"");
    assert_eq!(response.headers()[CONTENT_LENGTH], "22000");
    assert_eq!(response.headers()[VARY], "accept-encoding", "caches tell clients apart");
}

#[test]
fn weak_tags_stay_and_vary_is_not_said_twice() {
    let lines = [("etag", "W/\"v1\""), ("vary", "Accept-Encoding, origin")];
    let response = negotiated(Some("gzip"), answer(text(), &lines));
    assert_eq!(response.headers()[ETAG], "W/\"v1\"");
    assert_eq!(response.headers().get_all(VARY).iter().count(), 1);
}

#[test]
fn what_is_bound_to_its_bytes_is_left_alone() {
    for line in [
        ("content-encoding", "br"),
        ("content-range", "bytes 0-9/100"),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, No-Transform"),
        ("content-digest", "sha-256=:AA==:"),
        ("repr-digest", "sha-256=:AA==:"),
        ("digest", "sha-256=AA=="),
        ("content-md5", "AA=="),
    ] {
        let response = negotiated(Some("gzip"), answer(text(), &[line, ("etag", "\"v1\"")]));
        assert!(matches!(response.body(), Body::Full(_)), "{line:?}");
        assert_eq!(response.headers()[ETAG], "\"v1\"", "{line:?}");
        assert!(!response.headers().contains_key(VARY), "{line:?}");
    }
    let response = negotiated(Some("gzip"), answer(text(), &[("accept-ranges", "none")]));
    assert_eq!(encoding(&response), Some("gzip"));
}

#[test]
fn statuses_without_content_are_left_alone() {
    for status in [101, 204, 205, 206, 304] {
        let mut response = answer(text(), &[]);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        assert_eq!(encoding(&negotiated(Some("gzip"), response)), None, "{status}");
    }
    for status in [200, 201, 404, 500] {
        let mut response = answer(text(), &[]);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        assert_eq!(encoding(&negotiated(Some("gzip"), response)), Some("gzip"), "{status}");
    }
}

#[test]
fn answers_to_head_and_connect_are_left_alone() {
    for method in [Method::HEAD, Method::CONNECT] {
        assert!(Negotiation::of(&Request::builder().method(method).body(()).unwrap()).is_none());
    }
}

#[test]
fn small_bodies_are_left_alone() {
    for (length, chosen) in [(0, None), (255, None), (256, Some("gzip"))] {
        let response = negotiated(Some("gzip"), answer("x".repeat(length), &[]));
        assert_eq!(encoding(&response), chosen, "{length}");
    }
    let (_sender, body) = stream();
    let declared = negotiated(Some("gzip"), answer(body, &[("content-length", "12")]));
    assert_eq!(encoding(&declared), None, "a length that is declared alone");
    let (_sender, body) = stream();
    assert_eq!(encoding(&negotiated(Some("gzip"), answer(body, &[]))), Some("gzip"));
}

#[test]
fn types_that_gain_nothing_are_left_alone() {
    for content_type in [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "Text/Event-Stream",
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web-text",
        "application/octet-stream",
        "application/zip",
        "application/epub+zip",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "image/png",
        "IMAGE/JPEG",
        "video/mp4",
        "audio/ogg",
        "font/woff2",
        "multipart/x-mixed-replace; boundary=x",
        "nonsense",
    ] {
        let response = negotiated(Some("gzip"), answer(text(), &[("content-type", content_type)]));
        assert_eq!(encoding(&response), None, "{content_type}");
    }
    for content_type in [
        "text/html; charset=utf-8",
        "application/json",
        "application/x-ndjson",
        "application/problem+json",
        "application/javascript",
        "application/wasm",
        "image/svg+xml",
        "font/ttf",
    ] {
        let response = negotiated(Some("gzip"), answer(text(), &[("content-type", content_type)]));
        assert_eq!(encoding(&response), Some("gzip"), "{content_type}");
    }
    let mut untyped = answer(text(), &[]);
    untyped.headers_mut().remove(CONTENT_TYPE);
    assert_eq!(encoding(&negotiated(Some("gzip"), untyped)), None);
}

#[tokio::test]
async fn what_a_stream_has_said_is_there_before_it_says_more() {
    for wanted in ENCODINGS {
        let (sender, body) = stream();
        let response = negotiated(Some(wanted), answer(body, &[]));
        let (mut body, mut reader) = (response.into_body(), Reader::of(wanted));
        let mut expected = String::new();
        for number in 0..5 {
            let line = format!("{{\"line\":{number}}}\n");
            expected.push_str(&line);
            sender.send(data(line)).unwrap();
            let mut seen = String::new();
            // Pending means that the encoder keeps the rest to itself.
            while seen != expected {
                let frame = body.frame().now_or_never().unwrap_or_else(|| panic!("{wanted}"));
                seen = reader.read(&frame.unwrap().unwrap().into_data().unwrap()).await;
            }
            assert!(body.frame().now_or_never().is_none(), "{wanted}: nothing was said since");
        }
        drop(sender);
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(reader.read(&rest).await, expected, "{wanted}");
    }
}

#[tokio::test]
async fn an_empty_piece_is_not_the_end_and_trailers_come_after_it() {
    for wanted in ENCODINGS {
        let (sender, body) = stream();
        for piece in ["", "one ", "", "two", ""] {
            sender.send(data(piece)).unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("2"));
        sender.send(Ok(Frame::trailers(trailers))).unwrap();
        drop(sender);
        let response = negotiated(Some(wanted), answer(body, &[]));
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "2", "{wanted}");
        let decoded = Reader::of(wanted).read(&collected.to_bytes()).await;
        assert_eq!(decoded, "one two", "{wanted}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_end_well() {
    for wanted in ENCODINGS {
        for whole in [false, true] {
            let (sender, body) = stream();
            if whole {
                sender.send(data(text())).unwrap();
            }
            sender.send(Err("cut".into())).unwrap();
            drop(sender);
            let response = negotiated(Some(wanted), answer(body, &[]));
            let error = response.into_body().collect().await.unwrap_err();
            assert_eq!(error.to_string(), "cut", "{wanted}");
        }
    }
}

#[tokio::test]
async fn much_passes_through_in_any_pieces() {
    let whole: String = (0..200_000).map(|number| format!("{number},")).collect();
    for wanted in ENCODINGS {
        let (sender, body) = stream();
        for piece in whole.as_bytes().chunks(7919) {
            sender.send(data(piece.to_vec())).unwrap();
        }
        drop(sender);
        let response = negotiated(Some(wanted), answer(body, &[]));
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(Reader::of(wanted).read(&bytes).await, whole, "{wanted}");
    }
}
