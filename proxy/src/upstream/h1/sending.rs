//! A request on its way out: head and body as bytes (RFC 9112 §6, §7).
//!
//! Framing follows from the body, whatever the headers said: a known length is sent with
//! `content-length`, an unknown one in chunks.

use crate::upstream::{ExchangeError, HeaderSink as _, RequestHead, trailers};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body::Body as _;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use stitch_net::Body;
use tokio::io::AsyncWrite;

/// A request and how much of it has been sent.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The head, or the line in front of a chunk.
    front: Vec<u8>,
    /// How much of `front` has been sent.
    sent: usize,
    /// A piece of the body, sent behind `front`.
    piece: Bytes,
    /// Sent behind the piece.
    back: &'static [u8],
    body: Body,
    framing: Framing,
    /// Whether any byte was taken by the system.
    begun: bool,
    idempotent: bool,
    is_head: bool,
}

/// How the rest of the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There never was one.
    None,
    /// So many bytes are left to be read from the body.
    Length(u64),
    Chunked,
    /// All of it has been read from the body.
    Over,
}

impl Sending {
    /// A request that nothing was sent of yet.
    pub fn new(head: &impl RequestHead, body: Body) -> Self {
        let method = head.method();
        let mut front = Vec::with_capacity(512);
        head.write(&mut front);
        let framing = if body.is_end_stream() {
            if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
                front.extend_from_slice(b"content-length: 0\r\n");
            }
            Framing::None
        } else if let Some(length @ 1..) = body.size_hint().exact() {
            let _ = write!(front, "content-length: {length}\r\n");
            Framing::Length(length)
        } else {
            front.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Framing::Chunked
        };
        front.extend_from_slice(b"\r\n");
        Self {
            front,
            sent: 0,
            piece: Bytes::new(),
            back: b"",
            body,
            framing,
            begun: false,
            idempotent: is_idempotent(method),
            is_head: *method == Method::HEAD,
        }
    }

    /// Whether it asks with HEAD, so that its answer has no body.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether it may be sent twice: it has no body, and a safe or idempotent method (RFC 9110
    /// §9.2.2).
    pub fn may_be_repeated(&self) -> bool {
        self.idempotent && self.framing == Framing::None
    }

    /// Makes it ready to be sent from its start, if none of it was sent or it may be repeated.
    pub fn restart(mut self) -> Option<Self> {
        if self.begun && !self.may_be_repeated() {
            return None;
        }
        (self.sent, self.begun) = (0, false);
        Some(self)
    }

    /// The body, if nothing was taken off it.
    pub fn into_body(self) -> Option<Body> {
        let untouched = match self.framing {
            Framing::None => true,
            Framing::Length(_) | Framing::Chunked => !self.begun && self.piece.is_empty(),
            Framing::Over => false,
        };
        untouched.then_some(self.body)
    }

    /// Sends what can be sent; ready when all of it was.
    pub fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        loop {
            // A piece that is already here leaves together with what is in front of it.
            let waits_for_body = self.poll_piece(cx)?.is_pending();
            ready!(self.poll_write(stream, cx))?;
            if waits_for_body || self.is_read() {
                // TLS may have kept something back.
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            }
            if self.is_read() {
                return Poll::Ready(Ok(()));
            }
            if waits_for_body {
                return Poll::Pending;
            }
        }
    }

    /// Whether nothing is left in the body.
    fn is_read(&self) -> bool {
        matches!(self.framing, Framing::None | Framing::Over)
    }

    /// Takes the next piece off the body, unless there still is one.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        if self.is_read() || !self.piece.is_empty() || !self.back.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(error)) => return Poll::Ready(Err(ExchangeError::Body(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take_data(data)?,
                Err(frame) => {
                    let trailers = frame.into_trailers().ok().and_then(trailers::clean);
                    self.end(trailers.as_ref())?;
                }
            },
            None => self.end(None)?,
        }
        if self.is_read() {
            // Lets go of whatever the body holds.
            self.body = Body::Empty;
        }
        Poll::Ready(Ok(()))
    }

    fn take_data(&mut self, data: Bytes) -> Result<(), ExchangeError> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                if *left == 0 {
                    self.framing = Framing::Over;
                }
            }
            Framing::Chunked => {
                self.clear_front();
                let _ = write!(self.front, "{:x}\r\n", data.len());
                self.back = b"\r\n";
                if self.body.is_end_stream() {
                    self.back = b"\r\n0\r\n\r\n";
                    self.framing = Framing::Over;
                }
            }
            Framing::None | Framing::Over => {}
        }
        self.piece = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), ExchangeError> {
        match self.framing {
            Framing::Length(1..) => return Err(wrong_length()),
            Framing::Chunked => {
                self.clear_front();
                self.front.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    self.front.value(name, value);
                }
                self.front.extend_from_slice(b"\r\n");
            }
            Framing::Length(0) | Framing::None | Framing::Over => {}
        }
        self.framing = Framing::Over;
        Ok(())
    }

    /// Forgets what was sent. What was not is kept, and is sent in front of what is added.
    fn clear_front(&mut self) {
        self.front.drain(..self.sent);
        self.sent = 0;
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let front = self.front.get(self.sent..).unwrap_or_default();
            if front.is_empty() && self.piece.is_empty() && self.back.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let stream = Pin::new(&mut *stream);
            let written = if self.piece.is_empty() && self.back.is_empty() {
                stream.poll_write(cx, front)
            } else {
                let slices = [front, &self.piece, self.back].map(IoSlice::new);
                stream.poll_write_vectored(cx, &slices)
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
    }

    fn advance(&mut self, written: usize) {
        self.begun = true;
        let of_front = written.min(self.front.len() - self.sent);
        self.sent += of_front;
        let of_piece = (written - of_front).min(self.piece.len());
        if of_piece == self.piece.len() {
            self.piece = Bytes::new();
        } else {
            self.piece = self.piece.slice(of_piece..);
        }
        self.back = &self.back[written - of_front - of_piece..];
    }
}

/// Writes the request line in origin form, whatever form the request came in; `base_path` goes in
/// front of its path.
pub(crate) fn write_request_line(out: &mut Vec<u8>, method: &Method, base_path: &str, uri: &Uri) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    // `OPTIONS *` is about the server, not about a path (RFC 9112 §3.2.4).
    if uri.path() != "*" {
        out.extend_from_slice(base_path.as_bytes());
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if target.starts_with('?') {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn wrong_length() -> ExchangeError {
    ExchangeError::Body("it is not as long as was said".into())
}

/// Whether doing it twice is like doing it once (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Endpoint;
    use http::Request;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use stitch_net::BoxError;
    use tokio::io::AsyncReadExt;

    struct Plain(Method);

    impl RequestHead for Plain {
        fn method(&self) -> &Method {
            &self.0
        }

        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("{} / HTTP/1.1\r\n", self.0).as_bytes());
        }

        fn h2(&self, _: &Endpoint) -> Result<Request<()>, http::Error> {
            Request::builder().body(())
        }
    }

    fn sending(method: Method, body: Body) -> Sending {
        Sending::new(&Plain(method), body)
    }

    /// What goes over a pipe that takes `room` bytes at a time, and how it ends.
    async fn sent(mut sending: Sending, room: usize) -> (String, Result<(), ExchangeError>) {
        let (mut near, mut far) = tokio::io::duplex(room);
        let send = async move { std::future::poll_fn(|cx| sending.poll(&mut near, cx)).await };
        let mut text = String::new();
        let (ended, read) = tokio::join!(send, far.read_to_string(&mut text));
        read.unwrap();
        (text, ended)
    }

    fn stream(frames: Vec<Result<Frame<Bytes>, BoxError>>) -> Body {
        Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn a_body_is_framed_by_what_is_known_of_it() {
        for room in [1, 7, 4096] {
            for (method, body, wire) in [
                (Method::GET, Body::Empty, "GET / HTTP/1.1\r\n\r\n"),
                (Method::POST, Body::Empty, "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"),
                (Method::PUT, "abc".into(), "PUT / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc"),
                (
                    Method::POST,
                    stream(vec![data("abc"), data(""), data("de")]),
                    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                ),
            ] {
                let (text, ended) = sent(sending(method, body), room).await;
                assert_eq!(text, wire);
                ended.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn trailers_that_frame_or_route_are_not_sent() {
        let trailers: HeaderMap = [("x-sum", "3"), ("host", "x"), ("content-length", "1")]
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .into_iter()
            .collect();
        let body = stream(vec![data("abc"), Ok(Frame::trailers(trailers))]);
        let (text, _) = sent(sending(Method::POST, body), 64).await;
        assert!(text.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_body_that_fails_is_never_whole() {
        let broken = stream(vec![data("abc"), Err("gone".into())]);
        let (text, ended) = sent(sending(Method::POST, broken), 64).await;
        assert!(text.ends_with("3\r\nabc\r\n"), "{text}");
        assert!(matches!(ended, Err(ExchangeError::Body(error)) if error.to_string() == "gone"));
    }

    /// Takes so many bytes, then fails.
    struct Failing(usize);

    impl AsyncWrite for Failing {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.0 == 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let taken = self.0.min(bytes.len());
            self.0 -= taken;
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn only_what_cannot_happen_twice_is_sent_again() {
        for (taken, method, body, again) in [
            (0, Method::POST, Body::from("abc"), true),
            (5, Method::POST, Body::from("abc"), false),
            (5, Method::GET, Body::Empty, true),
            (5, Method::PUT, Body::from("abc"), false),
            (5, Method::POST, Body::Empty, false),
        ] {
            let mut sending = sending(method, body);
            let failed = std::future::poll_fn(|cx| sending.poll(&mut Failing(taken), cx)).await;
            assert!(matches!(failed, Err(ExchangeError::Broken(Some(_)))));
            match sending.restart() {
                None => assert!(!again),
                Some(sending) => {
                    assert!(again);
                    let (text, ended) = sent(sending, 64).await;
                    ended.unwrap();
                    assert!(text.starts_with("POST") == text.ends_with("abc"), "{text}");
                }
            }
        }
    }
}
