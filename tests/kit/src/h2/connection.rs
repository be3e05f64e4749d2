//! One end of an HTTP/2 connection: sends whatever it is told to, and keeps account of what comes.

use super::frame::{Frame, flag, kind, setting};
use super::hpack::{block, status};
use crate::process::PATIENCE;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Windows before anybody says otherwise.
const WINDOW: i64 = 65_535;
/// Largest frame that every peer takes.
const FRAME: usize = 16 << 10;

/// How the other side ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It said that this was all.
    Whole,
    /// It broke the stream off, with this code.
    Reset(u32),
    /// The connection was over first.
    Closed,
}

/// What has come on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Of an answer.
    pub status: Option<u16>,
    /// How many header sections have come; trailers are one.
    pub sections: usize,
    /// The body so far.
    pub body: Vec<u8>,
    /// `None` while more can come.
    pub end: Option<End>,
    /// Beyond the window that streams begin with.
    more: i64,
}

/// One end of a connection. It answers SETTINGS and PING, and gives back the room that bodies took,
/// but never by itself: only while something is waited for.
#[derive(Debug)]
pub struct Connection {
    input: BufReader<TcpStream>,
    output: TcpStream,
    streams: HashMap<u32, Stream>,
    held: HashSet<u32>,
    next: u32,
    /// Requests that nobody has asked for.
    begun: VecDeque<u32>,
    /// What the other side lets us send: at first on a stream, and in all.
    window: (i64, i64),
    away: Option<(u32, u32)>,
}

impl Connection {
    /// A client's end.
    #[track_caller]
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &[])
    }

    /// A client's end with settings of its own.
    #[track_caller]
    #[must_use]
    pub fn open_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        let settings = [&[(setting::HEADER_TABLE_SIZE, 0)], settings].concat();
        let mut connection = Self::over(stream).expect("a fresh socket takes its options");
        connection.send_bytes([PREFACE, &Frame::settings(&settings).bytes()].concat());
        connection
    }

    /// A server's end of a connection that was accepted.
    ///
    /// # Errors
    /// When the client does not begin HTTP/2.
    pub fn accept(stream: TcpStream) -> Result<Self> {
        Self::accept_with(stream, &[])
    }

    /// A server's end with settings of its own.
    ///
    /// # Errors
    /// When the client does not begin HTTP/2.
    pub fn accept_with(stream: TcpStream, settings: &[(u16, u32)]) -> Result<Self> {
        let mut connection = Self::over(stream)?;
        let mut preface = [0; PREFACE.len()];
        connection.input.read_exact(&mut preface)?;
        if preface != PREFACE {
            return Err(Error::new(ErrorKind::InvalidData, "no preface of HTTP/2"));
        }
        connection.try_send(&Frame::settings(settings))?;
        Ok(connection)
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            output: stream.try_clone()?,
            input: BufReader::new(stream),
            streams: HashMap::new(),
            held: HashSet::new(),
            next: 1,
            begun: VecDeque::new(),
            window: (WINDOW, WINDOW),
            away: None,
        })
    }

    /// The socket itself, for what only a socket can do.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.output
    }

    /// Changes how long a read or a write may take (20 s at first).
    pub fn patience(&mut self, limit: Duration) {
        let limit = Some(limit.max(Duration::from_millis(1)));
        // Refused only for a duration of zero.
        let _ = self.output.set_read_timeout(limit);
        let _ = self.output.set_write_timeout(limit);
    }

    /// Sends bytes exactly as they are.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send_bytes(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// As [`Connection::send_bytes`], to a peer that may be gone or not reading.
    ///
    /// # Errors
    /// When the bytes could not be handed to the socket.
    pub fn try_send_bytes(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.output.write_all(bytes.as_ref())
    }

    /// Sends a frame, whatever it says.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.send_bytes(frame.bytes());
    }

    /// As [`Connection::send`], to a peer that may be gone.
    ///
    /// # Errors
    /// When the frame could not be handed to the socket.
    pub fn try_send(&mut self, frame: &Frame) -> Result<()> {
        self.try_send_bytes(frame.bytes())
    }

    /// Begins a request on a stream of its own; with `end` it has no body.
    #[track_caller]
    pub fn request(&mut self, fields: &[(&str, &str)], end: bool) -> u32 {
        let stream = self.next_stream();
        self.send(&headers(stream, fields, end));
        stream
    }

    /// Asks a host for a path.
    #[track_caller]
    pub fn get(&mut self, host: &str, path: &str) -> u32 {
        self.request(&request("GET", host, path), true)
    }

    /// The number of the next stream, for frames made by hand.
    pub fn next_stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.streams.insert(stream, Stream::default());
        stream
    }

    /// Sends a piece of a body, whether or not there is room for it.
    #[track_caller]
    pub fn data(&mut self, stream: u32, bytes: impl Into<Vec<u8>>, end: bool) {
        self.send(&data(stream, bytes, end));
    }

    /// Sends so many bytes of a body, as the other side makes room; gives how many it took when
    /// nothing moved for as long as reads may take.
    pub fn pour(&mut self, stream: u32, total: usize) -> usize {
        let mut sent = 0;
        while sent < total {
            match self.fill(stream, FRAME, total - sent) {
                Ok(0) if matches!(self.try_next(), Ok(Some(_))) => {}
                Ok(0) | Err(_) => return sent,
                Ok(some) => sent += some,
            }
        }
        sent
    }

    fn room(&self, stream: u32) -> usize {
        let more = self.streams.get(&stream).map_or(0, |stream| stream.more);
        usize::try_from((self.window.0 + more).min(self.window.1)).unwrap_or_default()
    }

    /// Gives no more room to a stream's body.
    pub fn hold(&mut self, stream: u32) {
        self.held.insert(stream);
    }

    /// Sends at most so many bytes in pieces of this size, as far as there is room for them; gives
    /// how many.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn fill(&mut self, stream: u32, piece: usize, most: usize) -> Result<usize> {
        let (mut sent, mut bytes) = (0, Vec::new());
        loop {
            let room = self.room(stream).min(piece).min(most - sent);
            // Small pieces leave together.
            if room == 0 || bytes.len() > FRAME {
                self.try_send_bytes(&bytes)?;
                bytes.clear();
            }
            if room == 0 {
                return Ok(sent);
            }
            bytes.extend(data(stream, vec![b'x'; room], false).bytes());
            let taken = i64::try_from(room).unwrap_or_default();
            self.streams.entry(stream).or_default().more -= taken;
            self.window.1 -= taken;
            sent += room;
        }
    }

    /// Begins an answer.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn head(&mut self, stream: u32, status: &str) -> Result<()> {
        self.try_send(&headers(stream, &[(":status", status)], false))
    }

    /// Answers a request with a body that there is room for.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn answer(&mut self, stream: u32, status: &str, body: &[u8]) -> Result<()> {
        self.head(stream, status)?;
        let (before, last) = body.split_at(body.len().saturating_sub(1) / FRAME * FRAME);
        for piece in before.chunks(FRAME) {
            self.try_send(&data(stream, piece, false))?;
        }
        self.try_send(&data(stream, last, true))
    }

    /// The next frame, noted; `None` when the other side closed.
    ///
    /// # Errors
    /// `WouldBlock` when none comes in time, and those of a broken connection.
    pub fn try_next(&mut self) -> Result<Option<Frame>> {
        let read = Frame::read(&mut self.input);
        match &read {
            Ok(Some(frame)) => self.note(frame),
            Ok(None) => self.close(),
            Err(error) if is_late(error) => {}
            Err(_) => self.close(),
        }
        read
    }

    /// Reads until `done`; false when the connection ended first or nothing came for too long.
    pub fn until(&mut self, mut done: impl FnMut(&Self) -> bool) -> bool {
        while !done(self) {
            if !matches!(self.try_next(), Ok(Some(_))) {
                return done(self);
            }
        }
        true
    }

    /// What came on a stream, once it has ended.
    #[track_caller]
    pub fn finish(&mut self, stream: u32) -> Stream {
        let ended = self.until(|connection| connection.stream(stream).end.is_some());
        assert!(ended, "stream {stream} has no end: {:?}", self.stream(stream));
        self.stream(stream).clone()
    }

    /// The next request whose head is here: its stream. `None` when the client is gone.
    pub fn next_request(&mut self) -> Option<u32> {
        self.until(|connection| !connection.begun.is_empty());
        self.begun.pop_front()
    }

    /// What has come on a stream so far.
    #[must_use]
    pub fn stream(&self, stream: u32) -> &Stream {
        static NOTHING: Stream =
            Stream { status: None, sections: 0, body: Vec::new(), end: None, more: 0 };
        self.streams.get(&stream).unwrap_or(&NOTHING)
    }

    /// The last GOAWAY that came: the last stream that counts, and why.
    #[must_use]
    pub fn away(&self) -> Option<(u32, u32)> {
        self.away
    }

    /// Reads to the end of the connection; false when it stays open and nothing more comes.
    pub fn closes(&mut self) -> bool {
        loop {
            match self.try_next() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(error) => return !is_late(&error),
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        let end = frame.has(flag::END_STREAM).then_some(End::Whole);
        match frame.kind {
            kind::DATA => {
                let stream = self.streams.entry(frame.stream).or_default();
                stream.body.extend_from_slice(&frame.payload);
                stream.end = stream.end.or(end);
                self.make_room(frame);
            }
            kind::HEADERS => {
                if frame.stream >= self.next {
                    self.next = frame.stream + 2;
                    self.begun.push_back(frame.stream);
                }
                let stream = self.streams.entry(frame.stream).or_default();
                stream.status = stream.status.or_else(|| status(&frame.payload));
                stream.sections += 1;
                stream.end = stream.end.or(end);
            }
            kind::RST_STREAM => {
                let stream = self.streams.entry(frame.stream).or_default();
                stream.end = Some(End::Reset(frame.number(0)));
            }
            kind::SETTINGS | kind::PING if !frame.has(flag::ACK) => self.acknowledge(frame),
            kind::GOAWAY => self.away = Some((frame.number(0), frame.number(4))),
            kind::WINDOW_UPDATE if frame.stream == 0 => self.window.1 += i64::from(frame.number(0)),
            kind::WINDOW_UPDATE => {
                let stream = self.streams.entry(frame.stream).or_default();
                stream.more += i64::from(frame.number(0));
            }
            _ => {}
        }
    }

    fn make_room(&mut self, data: &Frame) {
        let size = u32::try_from(data.payload.len()).unwrap_or_default();
        if size == 0 {
            return;
        }
        // The other side may have closed behind its last frame.
        let _ = self.try_send(&Frame::window_update(0, size));
        if !data.has(flag::END_STREAM) && !self.held.contains(&data.stream) {
            let _ = self.try_send(&Frame::window_update(data.stream, size));
        }
    }

    fn acknowledge(&mut self, frame: &Frame) {
        let mut payload = frame.payload.as_slice();
        if frame.kind == kind::SETTINGS {
            for value in payload.chunks_exact(6) {
                if value[..2] == setting::INITIAL_WINDOW_SIZE.to_be_bytes() {
                    let size = [value[2], value[3], value[4], value[5]];
                    self.window.0 = u32::from_be_bytes(size).into();
                }
            }
            payload = &[];
        }
        let _ = self.try_send(&Frame::new(frame.kind, flag::ACK, 0, payload));
    }

    fn close(&mut self) {
        for stream in self.streams.values_mut() {
            stream.end.get_or_insert(End::Closed);
        }
    }
}

/// Nothing came in time, which is not the end.
fn is_late(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A whole header section.
fn headers(stream: u32, fields: &[(&str, &str)], end: bool) -> Frame {
    let end = if end { flag::END_STREAM } else { 0 };
    Frame::new(kind::HEADERS, flag::END_HEADERS | end, stream, block(fields))
}

fn data(stream: u32, bytes: impl Into<Vec<u8>>, end: bool) -> Frame {
    Frame::new(kind::DATA, if end { flag::END_STREAM } else { 0 }, stream, bytes)
}

/// The fields that every request begins with.
#[must_use]
pub fn request<'a>(method: &'a str, host: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    #[test]
    fn two_ends_understand_each_other() {
        let server = Upstream::scripted(|stream, _| {
            let settings = [(setting::INITIAL_WINDOW_SIZE, 100)];
            let mut end = Connection::accept_with(stream, &settings).unwrap();
            while let Some(stream) = end.next_request() {
                let body = if stream == 1 { b"ok".to_vec() } else { end.finish(stream).body };
                end.answer(stream, "200", &body).unwrap();
            }
        });
        let mut client = Connection::open(server.addr());
        let asked = client.get("any", "/");
        let answer = client.finish(asked);
        assert_eq!((answer.status, answer.body.as_slice()), (Some(200), &b"ok"[..]));
        let told = client.request(&request("POST", "any", "/"), false);
        assert_eq!(client.pour(told, 1000), 1000);
        client.data(told, "", true);
        assert_eq!(client.finish(told).body.len(), 1000);
        assert_eq!(client.stream(told).end, Some(End::Whole));
    }

    #[test]
    fn every_end_is_told_apart() {
        let server = Upstream::scripted(|stream, _| {
            let mut end = Connection::accept(stream).unwrap();
            let first = end.next_request().unwrap();
            end.send(&Frame::reset(first, 7));
            let _ = end.next_request();
            end.send(&Frame::go_away(1, 0));
        });
        let mut client = Connection::open(server.addr());
        let (first, second) = (client.get("any", "/"), client.get("any", "/"));
        assert_eq!(client.finish(first).end, Some(End::Reset(7)));
        assert_eq!(client.finish(second).end, Some(End::Closed));
        assert_eq!(client.away(), Some((1, 0)));
        assert!(client.closes());
    }

    #[test]
    fn a_held_stream_gets_no_room() {
        let (told, hear) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let server = Upstream::scripted(move |stream, _| {
            let mut end = Connection::accept(stream).unwrap();
            end.patience(Duration::from_millis(200));
            let stream = end.next_request().unwrap();
            told.lock().unwrap().send(end.pour(stream, 100_000)).unwrap();
        });
        let mut client = Connection::open(server.addr());
        let stream = client.get("any", "/");
        client.hold(stream);
        assert!(!client.until(|client| client.stream(stream).body.len() > 65_535));
        assert_eq!(hear.recv().unwrap(), 65_535);
    }
}
