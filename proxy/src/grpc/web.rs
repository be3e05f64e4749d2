//! gRPC-Web: what browsers can speak, bridged to gRPC (the protocol's PROTOCOL-WEB.md).
//!
//! A browser cannot read trailers, so they travel as a last frame of the body; `-text` bodies are in
//! base64, because some browsers cannot read bytes either.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::Response;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use stitch_net::grpc::GRPC_STATUS;
use stitch_net::{Body, BoxError};

/// What asks for base64, as the type of a request or as what it accepts.
const TEXT: &str = "application/grpc-web-text";
/// Marks the frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// A call that came as gRPC-Web.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    /// The answer's.
    content_type: HeaderValue,
    /// Whether the answer is in base64.
    text: bool,
    /// Whether the request's body is.
    encoded: bool,
}

impl Web {
    /// Makes the headers of a gRPC-Web request those of gRPC; `None` when it is none. Its body is to
    /// be [decoded](Self::decode) each time that it is sent.
    pub fn bridge(headers: &mut HeaderMap) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.clone();
        let rest = content_type.to_str().ok()?.strip_prefix("application/grpc-web")?;
        let (encoded, format) = match rest.strip_prefix("-text") {
            Some(format) => (true, format),
            None => (false, rest),
        };
        if !(format.is_empty() || format.starts_with(['+', ';'])) {
            return None;
        }
        let plain = HeaderValue::try_from(format!("application/grpc{format}")).ok()?;
        let web = if encoded || !accepts_text(headers) {
            Self { content_type: content_type.clone(), text: encoded, encoded }
        } else {
            let content_type = HeaderValue::try_from(format!("{TEXT}{format}")).ok()?;
            Self { content_type, text: true, encoded }
        };
        headers.insert(CONTENT_TYPE, plain);
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.remove(CONTENT_LENGTH);
        Some(web)
    }

    /// The request's body as gRPC has it.
    pub fn decode(&self, body: Body) -> Body {
        if !self.encoded || body.is_end_stream() {
            return body;
        }
        Body::boxed(Decoded { body, rest: BytesMut::new() })
    }

    /// Makes the content type one of gRPC-Web again, for who answers in place of the service.
    pub fn restore(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, self.content_type.clone());
    }

    /// Turns the answer of gRPC into one of gRPC-Web.
    pub fn answer(&self, response: &mut Response<Body>) {
        let content_type = response.headers().get(CONTENT_TYPE);
        let is_grpc =
            content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            return;
        }
        let headers = response.headers_mut();
        self.restore(headers);
        headers.remove(CONTENT_LENGTH);
        // Without messages the status stands in the headers, where browsers see it.
        if !headers.contains_key(GRPC_STATUS) {
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = Body::boxed(Encoded { body, text: self.text });
        }
    }
}

/// Whether the answer has to be a text although the request is none (§Text-encoded streams).
fn accepts_text(headers: &HeaderMap) -> bool {
    let names_text = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(TEXT));
    headers.get_all(ACCEPT).iter().any(names_text)
}

/// A request's body taken out of base64.
struct Decoded {
    body: Body,
    /// What is not a whole group of four yet.
    rest: BytesMut,
}

impl HttpBody for Decoded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.rest.extend(data.iter().filter(|byte| !byte.is_ascii_whitespace()));
                        let whole = self.rest.len() / 4 * 4;
                        if whole > 0 {
                            let groups = self.rest.split_to(whole);
                            return Poll::Ready(Some(decode(&groups).map(Frame::data)));
                        }
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.rest.is_empty() => return Poll::Ready(None),
                None => {
                    self.rest.clear();
                    return Poll::Ready(Some(Err("the base64 of the body breaks off".into())));
                }
            }
        }
    }
}

/// Padding may stand within a body, where one message ends; nowhere else, so that it does not matter
/// how a text is cut.
fn decode(mut groups: &[u8]) -> Result<Bytes, BoxError> {
    let mut bytes = Vec::with_capacity(groups.len() / 4 * 3);
    while !groups.is_empty() {
        let padded = groups.chunks(4).position(|group| group.ends_with(b"="));
        let end = padded.map_or(groups.len(), |group| (group + 1) * 4);
        let (part, rest) = groups.split_at(end.min(groups.len()));
        let decoded = BASE64_STANDARD.decode_vec(part, &mut bytes);
        decoded.map_err(|error| format!("the body: {error}"))?;
        groups = rest;
    }
    Ok(bytes.into())
}

/// An answer's body with its trailers as a last frame.
struct Encoded {
    body: Body,
    text: bool,
}

impl Encoded {
    fn encode(&self, bytes: Bytes) -> Frame<Bytes> {
        Frame::data(if self.text { BASE64_STANDARD.encode(bytes).into() } else { bytes })
    }
}

impl HttpBody for Encoded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let bytes = match frame?.into_data() {
                Ok(data) => data,
                Err(frame) => trailer_frame(&frame.into_trailers().unwrap_or_default()),
            };
            Ok(self.encode(bytes))
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Trailers as lines of HTTP/1, behind a mark and their length.
fn trailer_frame(trailers: &HeaderMap) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + lines.len());
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&lines);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;

    fn stream(frames: Vec<Frame<Bytes>>) -> Body {
        let frames = frames.into_iter().map(Ok::<_, BoxError>);
        Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let frame = |piece: &&'static str| Frame::data(Bytes::from_static(piece.as_bytes()));
        stream(pieces.iter().map(frame).collect())
    }

    /// Turns a whole request into gRPC.
    fn bridge(request: &mut Request<Body>) -> Option<Web> {
        let web = Web::bridge(request.headers_mut())?;
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = web.decode(body);
        Some(web)
    }

    fn request(content_type: &'static str, body: Body) -> Request<Body> {
        Request::builder().header(CONTENT_TYPE, content_type).body(body).unwrap()
    }

    async fn bytes(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn text_is_decoded_wherever_it_is_cut() {
        for cut in [&["aGVsbG8="][..], &["aGVs", "bG8="], &["a", "GVsbG8", "="], &["aGVs\nbG8="]] {
            let mut request = request("application/grpc-web-text+proto", pieces(cut));
            bridge(&mut request).unwrap();
            assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc+proto");
            assert_eq!(request.headers()[TE], "trailers");
            assert_eq!(bytes(request.into_body()).await, "hello", "{cut:?}");
        }
        let mut several = request("application/grpc-web-text", pieces(&["aGVsbG8=aGVsbG8="]));
        bridge(&mut several).unwrap();
        assert_eq!(bytes(several.into_body()).await, "hellohello");
    }

    #[tokio::test]
    async fn what_is_no_base64_is_an_error() {
        for wrong in ["aGVs!!!!", "aGVsb", "aGVsb=8=", "aGVs=aGV", "=aGVsbG8"] {
            let text = Body::from(wrong);
            let mut request = request("application/grpc-web-text", text);
            bridge(&mut request).unwrap();
            assert!(request.into_body().collect().await.is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_requests_are_left_alone() {
        for other in ["application/grpc", "application/grpc-webby", "application/json"] {
            assert!(bridge(&mut request(other, Body::Empty)).is_none(), "{other}");
        }
    }

    #[tokio::test]
    async fn trailers_become_the_last_frame() {
        for (content_type, text) in
            [("application/grpc-web+proto", false), ("application/grpc-web-text", true)]
        {
            let web = bridge(&mut request(content_type, Body::Empty)).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
            let body = stream(vec![Frame::data("abc".into()), Frame::trailers(trailers)]);
            let mut answer = Response::builder()
                .header(CONTENT_TYPE, "application/grpc+proto")
                .body(body)
                .unwrap();
            web.answer(&mut answer);
            assert_eq!(answer.headers()[CONTENT_TYPE], content_type);
            let mut body = bytes(answer.into_body()).await;
            if text {
                body = decode(&body).unwrap();
            }
            assert_eq!(
                body,
                "abc\u{80}\0\0\0\u{10}grpc-status: 0\r\n"
                    .chars()
                    .map(|c| c as u8)
                    .collect::<Vec<_>>()
            );
        }
    }

    #[tokio::test]
    async fn an_answer_is_a_text_when_only_that_is_accepted() {
        let mut request = request("application/grpc-web+proto", Body::from("raw"));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(TEXT));
        let web = bridge(&mut request).unwrap();
        assert_eq!(bytes(request.into_body()).await, "raw");
        let mut answer = Response::builder()
            .header(CONTENT_TYPE, "application/grpc+proto")
            .body(Body::from("abc"))
            .unwrap();
        web.answer(&mut answer);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/grpc-web-text+proto");
        assert_eq!(bytes(answer.into_body()).await, "YWJj");
    }

    #[tokio::test]
    async fn a_status_in_the_headers_stays_there() {
        let web = bridge(&mut request("application/grpc-web", Body::Empty)).unwrap();
        let mut answer = Response::builder()
            .header(CONTENT_TYPE, "application/grpc")
            .header(GRPC_STATUS, "5")
            .body(Body::Empty)
            .unwrap();
        web.answer(&mut answer);
        assert_eq!(answer.headers()[GRPC_STATUS], "5");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/grpc-web");
        assert!(bytes(answer.into_body()).await.is_empty());
    }

    /// The same text in pieces that end at these places.
    fn cut(text: &str, places: Vec<prop::sample::Index>) -> Vec<Frame<Bytes>> {
        let mut ends: Vec<_> = places.into_iter().map(|at| at.index(text.len() + 1)).collect();
        ends.extend([0, text.len()]);
        ends.sort_unstable();
        let piece = |ends: &[usize]| text.as_bytes()[ends[0]..ends[1]].to_vec();
        ends.windows(2).map(|ends| Frame::data(piece(ends).into())).collect()
    }

    fn decoded(frames: Vec<Frame<Bytes>>) -> Result<Bytes, BoxError> {
        let body = Decoded { body: stream(frames), rest: BytesMut::new() };
        let collected = futures_util::FutureExt::now_or_never(body.collect()).unwrap();
        collected.map(http_body_util::Collected::to_bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

        #[test]
        fn messages_are_recovered_however_their_text_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
            places: Vec<prop::sample::Index>,
        ) {
            let text: String =
                messages.iter().map(|message| BASE64_STANDARD.encode(message)).collect();
            prop_assert_eq!(decoded(cut(&text, places)).unwrap(), messages.concat());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z0-9+/=\\r\\n ]{0,30}", places: Vec<prop::sample::Index>) {
            let whole = decoded(cut(&text, Vec::new()));
            let in_pieces = decoded(cut(&text, places));
            prop_assert_eq!(whole.ok(), in_pieces.ok());
        }
    }
}
