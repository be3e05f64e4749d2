//! An upstream that keeps every byte it receives, and a proxy in front of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stitch_kit::http::{Connection, Response};
use stitch_kit::{Stitch, Upstream};

const PATIENCE: Duration = Duration::from_secs(10);

/// A service `users` behind a proxy; what arrives there is kept as it came.
pub(super) struct Recorder {
    pub(super) stitch: Stitch,
    upstream: Upstream,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// With more keys for the file.
    pub(super) fn with(more: &str) -> Self {
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let notes = seen.clone();
        let upstream = Upstream::scripted(move |stream, _| serve(stream, &notes));
        let stitch =
            Stitch::up(&format!("services: {{ users: {{ url: '{}' }} }}\n{more}", upstream.url()));
        Self { stitch, upstream, seen }
    }

    pub(super) fn new() -> Self {
        Self::with("")
    }

    /// Everything that arrived, in lower case.
    pub(super) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).to_lowercase()
    }

    /// How many connections the upstream has open.
    pub(super) fn open(&self) -> usize {
        self.upstream.open_connections()
    }

    /// The answer to these bytes.
    pub(super) fn send(&self, bytes: impl AsRef<[u8]>) -> (Connection, Response) {
        let mut connection = Connection::open(self.stitch.proxy());
        connection.send(bytes);
        let answer = connection.read_response();
        (connection, answer)
    }

    /// These bytes are answered with this status, the connection is closed and nothing of them
    /// reaches the upstream.
    pub(super) fn refuses(&self, status: u16, bytes: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        let (mut connection, answer) = self.send(bytes);
        assert_eq!(answer.status, status, "{text:?}");
        assert!(connection.closes_within(PATIENCE), "still open after {text:?}");
        assert_eq!(self.upstream.connections(), 0, "{text:?} reached the upstream");
    }
}

/// Answers every request with `ok` once it has arrived whole.
fn serve(mut stream: TcpStream, notes: &Mutex<Vec<u8>>) {
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        notes.lock().unwrap().extend_from_slice(&chunk[..count]);
        buffer.extend_from_slice(&chunk[..count]);
        if is_whole(&String::from_utf8_lossy(&buffer).to_lowercase()) {
            buffer.clear();
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1);
    match length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => !head.contains("chunked") || body.ends_with("0\r\n\r\n"),
    }
}
