//! A small, correct HTTP/1.1 server: keep-alive, content-length and chunked both ways, trailers,
//! 100-continue. What it answers is a handler's business.

use super::{Upstream, echo};
use crate::http::Headers;
use crate::http::message::{self, Framing, Head};
use crate::wait::dawdle;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of one request that are taken in; more closes the connection.
const REQUEST_LIMIT: usize = 256 << 20;

/// Bytes per chunk of a chunked answer.
const CHUNK: usize = 8 << 10;

/// A whole request as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target, in the form it was sent in.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The header fields.
    pub headers: Headers,
    /// The body with any chunking taken off.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Headers,
    /// The number of its connection, from 1 on.
    pub connection: usize,
    /// Its number on that connection, from 1 on.
    pub served: usize,
}

impl Request {
    /// The first value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of a query parameter, not decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What a handler answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header fields beyond the framing.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// Chunked instead of content-length.
    pub chunked: bool,
    /// The fields after a chunked body.
    pub trailers: Headers,
    /// Closes the connection afterwards, and says so.
    pub close: bool,
    /// How long the server thinks before it answers.
    pub delay: Duration,
}

impl Answer {
    /// A status and a text.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    /// One more header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.0.push((name.to_owned(), value.into()));
        self
    }

    /// Sent only after this long.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn bytes(&self, head_only: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let bodyless = matches!(self.status, 100..200 | 204 | 304);
        let framing = match (bodyless, self.chunked) {
            (true, _) => None,
            (_, true) => Some(("transfer-encoding".to_owned(), "chunked".to_owned())),
            _ => Some(("content-length".to_owned(), self.body.len().to_string())),
        };
        let close = self.close.then(|| ("connection".to_owned(), "close".to_owned()));
        for (name, value) in self.headers.0.iter().chain(&framing).chain(&close) {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if bodyless || head_only {
            return bytes;
        }
        if self.chunked {
            self.push_chunks(&mut bytes);
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    fn push_chunks(&self, bytes: &mut Vec<u8>) {
        for chunk in self.body.chunks(CHUNK) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers.0 {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

impl Upstream {
    /// A server that answers every request with JSON describing it: `method`, `target`,
    /// `version`, `headers` and `trailers` as lists of pairs, `body_length`, `body` (when it is
    /// text of at most 64 KiB), `body_digest` (see [`crate::digest`]), `connection` and `served`.
    ///
    /// Query parameters bend the answer: `status=503`, `bytes=100000` (a body of that many `x`),
    /// `chunked`, `trailer=value` (chunked, with an `x-echo-trailer`), `close`, `header=name:value`,
    /// `delay=50` (milliseconds).
    #[track_caller]
    #[must_use]
    pub fn echo() -> Self {
        Self::http(echo::answer)
    }

    /// As [`Upstream::echo`], on a given address: for a service that comes back.
    #[track_caller]
    #[must_use]
    pub fn echo_on(address: SocketAddr) -> Self {
        Self::http_on(address, echo::answer)
    }

    /// A server whose answers come from `handler`.
    #[track_caller]
    #[must_use]
    pub fn http(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::http_on((Ipv4Addr::LOCALHOST, 0).into(), handler)
    }

    /// As [`Upstream::http`], on a given address.
    #[track_caller]
    #[must_use]
    pub fn http_on(
        address: SocketAddr,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, move |stream, number, note| {
            // The peer breaking off is not this server's failure, whatever the moment.
            let _ = serve(stream, number, note, &handler);
        })
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    note: &dyn Fn(Request),
    handler: &dyn Fn(&Request) -> Answer,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    for served in 1.. {
        let request = match read_request(&mut stream, &mut buffer)? {
            Ok(Some(request)) => Request { connection, served, ..request },
            Ok(None) => return Ok(()),
            Err(why) => {
                let answer = Answer { close: true, ..Answer::new(400, why) };
                return stream.write_all(&answer.bytes(false));
            }
        };
        // Noted first, so that whoever has the answer finds the request.
        note(request.clone());
        let mut answer = handler(&request);
        answer.close |= request.headers.lists("connection", "close")
            || (request.version == "HTTP/1.0"
                && !request.headers.lists("connection", "keep-alive"));
        dawdle(answer.delay);
        stream.write_all(&answer.bytes(request.method == "HEAD"))?;
        if answer.close {
            return Ok(());
        }
    }
    Ok(())
}

type Parsed = Result<Option<Request>, String>;

/// The next whole request; `None` when the peer closed between two.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Parsed> {
    let mut closed = false;
    let head = loop {
        match message::head(buffer) {
            Ok(Some(head)) => break head,
            Ok(None) if closed && buffer.is_empty() => return Ok(Ok(None)),
            Ok(None) if closed => return Ok(Err("closed inside a head".to_owned())),
            Ok(None) => closed = fill(stream, buffer)?,
            Err(why) => return Ok(Err(why)),
        }
    };
    if head.headers.lists("expect", "100-continue") && buffer.len() == head.length {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let framing = match message::declared_framing(&head.headers) {
        Ok(framing) => framing.unwrap_or(Framing::Length(0)),
        Err(why) => return Ok(Err(why)),
    };
    loop {
        match message::body(&buffer[head.length..], framing, closed) {
            Ok(Some(body)) => {
                buffer.drain(..head.length + body.length);
                return Ok(Ok(Some(request(head, body))));
            }
            Ok(None) if closed => return Ok(Err("closed inside a body".to_owned())),
            Ok(None) if buffer.len() > REQUEST_LIMIT => return Ok(Err("too large".to_owned())),
            Ok(None) => closed = fill(stream, buffer)?,
            Err(why) => return Ok(Err(why)),
        }
    }
}

fn request(head: Head, body: message::WholeBody) -> Request {
    let [method, target, version] = head.start;
    Request {
        method,
        target,
        version,
        headers: head.headers,
        body: body.bytes,
        trailers: body.trailers,
        ..Request::default()
    }
}

/// Reads once; true when the peer has closed.
fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 64 << 10];
    let count = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..count]);
    Ok(count == 0)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Other",
    }
}
