//! The client's connection: bytes out, responses in.

use super::message::{self, Framing, Head, Response};
use crate::process::PATIENCE;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One request on a connection of its own: GET `target` with these headers, `host` among them if
/// it matters (without it, the address is sent).
#[track_caller]
#[must_use]
pub fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Response {
    send(address, "GET", target, headers, b"")
}

/// One request on a connection of its own. A body is sent with its content-length unless
/// `headers` declare another framing.
#[track_caller]
#[must_use]
pub fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    Connection::open(address).request(method, target, headers, body)
}

/// Sends bytes and gives back, unread, what came: everything until the other side closes, or
/// until one complete final response has arrived.
#[track_caller]
#[must_use]
pub fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut connection = Connection::open(address);
    connection.send(bytes);
    // A response that cannot be parsed, or never ends, is exactly what `raw` is there to show.
    loop {
        let whole = connection.parse("GET").is_ok_and(|parsed| parsed.is_some());
        if whole || connection.closed || connection.fill().is_err() {
            return connection.buffer;
        }
    }
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
}

impl Connection {
    /// Connects.
    #[track_caller]
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        TcpStream::connect_timeout(&address, PATIENCE)
            .and_then(Self::over)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Speaks over a stream that is already there.
    ///
    /// # Errors
    /// When the stream refuses its options.
    pub fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new(), closed: false })
    }

    /// The socket itself, for what only a socket can do.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Changes how long a read may take (20 s at first).
    pub fn patience(&mut self, limit: Duration) {
        // Refused only for a duration of zero, which would mean "for ever".
        let _ = self.stream.set_read_timeout(Some(limit.max(Duration::from_millis(1))));
    }

    /// Sends bytes exactly as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// As [`Connection::send`], for a peer that may be gone.
    ///
    /// # Errors
    /// When the bytes could not be handed to the socket.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that no more bytes will be sent.
    pub fn finish_sending(&mut self) {
        // A peer that has gone already knows.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// One request and its response, leaving the connection open.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let named = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        if !named("host") {
            let peer = self.stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
            text += &format!("host: {peer}\r\n");
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() && !named("content-length") && !named("transfer-encoding") {
            text += &format!("content-length: {}\r\n", body.len());
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes);
        self.read_response_to(method)
    }

    /// The next response, to a request that was not HEAD or CONNECT.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// The next response to a request with this method.
    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        self.try_read_response_to(method).unwrap_or_else(|error| {
            let read = String::from_utf8_lossy(&self.buffer).into_owned();
            panic!("no response: {error}; read so far: {read:?}")
        })
    }

    /// The next response, for a peer that may send none or half of one.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other side closed before the response was complete,
    /// `ConnectionReset` when it broke off, `InvalidData` when it was not HTTP/1.1, `WouldBlock`
    /// when nothing came in time.
    pub fn try_read_response_to(&mut self, method: &str) -> Result<Response> {
        loop {
            let parsed = self.parse(method).map_err(|why| Error::new(ErrorKind::InvalidData, why));
            if let Some((response, length)) = parsed? {
                self.buffer.drain(..length);
                return Ok(response);
            }
            if self.closed {
                return Err(Error::new(ErrorKind::UnexpectedEof, "closed by the other side"));
            }
            self.fill()?;
        }
    }

    /// What arrives from here on until the other side closes; a reset ends it too.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        while !self.closed && self.fill().is_ok() {}
        std::mem::take(&mut self.buffer)
    }

    /// Exactly so many bytes, for what follows an upgrade or CONNECT.
    #[track_caller]
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(!self.closed, "closed after {} of {count} bytes", self.buffer.len());
            self.fill().unwrap_or_else(|error| panic!("cannot read {count} bytes: {error}"));
        }
        self.buffer.drain(..count).collect()
    }

    /// Waits for the other side to close without sending anything more; false when bytes came or
    /// it stayed open for `limit`.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        self.patience(limit);
        let ended = match self.fill() {
            Ok(()) => self.closed,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        self.patience(PATIENCE);
        ended && self.buffer.is_empty()
    }

    /// Reads once into the buffer.
    fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 64 << 10];
        let count = self.stream.read(&mut chunk)?;
        self.closed = count == 0;
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// The response at the start of the buffer and its length, once it is complete.
    fn parse(&self, method: &str) -> std::result::Result<Option<(Response, usize)>, String> {
        let mut interim = Vec::new();
        let mut at = 0;
        loop {
            let Some(head) = message::head(&self.buffer[at..])? else { return Ok(None) };
            at += head.length;
            let status = status_of(&head)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push((status, head.headers));
                continue;
            }
            let framing = framing_of(&head, status, method)?;
            let rest = &self.buffer[at..];
            let Some(body) = message::body(rest, framing, self.closed)? else { return Ok(None) };
            let [version, _, reason] = head.start;
            let response = Response {
                version,
                status,
                reason,
                headers: head.headers,
                body: body.bytes,
                trailers: body.trailers,
                interim,
            };
            return Ok(Some((response, at + body.length)));
        }
    }
}

fn status_of(head: &Head) -> std::result::Result<u16, String> {
    let [version, status, _] = &head.start;
    match status.parse() {
        Ok(status) if version.starts_with("HTTP/1.") && (100..1000).contains(&status) => Ok(status),
        _ => Err(format!("not a status line: {:?}", head.start.join(" "))),
    }
}

/// RFC 9112 §6.3, from the client's side.
fn framing_of(head: &Head, status: u16, method: &str) -> std::result::Result<Framing, String> {
    let bodyless = method == "HEAD"
        || matches!(status, 101 | 204 | 304)
        || (method == "CONNECT" && (200..300).contains(&status));
    if bodyless {
        return Ok(Framing::Length(0));
    }
    Ok(message::declared_framing(&head.headers)?.unwrap_or(Framing::UntilClose))
}
