//! A socket to an endpoint and what was read from it ahead of need.

use super::pool;
use bytes::BytesMut;
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// Room made for one read of a head, in bytes.
const HEAD: usize = 8 * 1024;
/// Most room made for one read of a body, in bytes.
const BODY: usize = 64 * 1024;

/// One connection, between exchanges or in one.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: TcpStream,
    /// Read and not yet understood; empty between exchanges.
    pub(super) input: BytesMut,
}

impl Connection {
    /// A connection that nothing was sent on.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// Whether a request may be sent on it after it was idle. Costs no system call, and so can miss a
    /// close that the reactor has not seen yet.
    pub fn seems_alive(&self) -> bool {
        // Bytes that nobody asked for are as bad as an end.
        let read = self.stream.try_read(&mut [0; 1]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, asked of the system: for requests that could not be sent again.
    pub fn is_alive(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gives the connection back after its exchange: to the pool, if it can carry another one.
    pub(super) fn keep(self, endpoint: u64, persists: bool) {
        if persists && self.input.is_empty() {
            pool::put(endpoint, self);
        }
    }

    /// Reads more input; 0 bytes are the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        fill(&mut self.stream, &mut self.input, HEAD, cx)
    }
}

/// Room to make for a body of which so many bytes are to come.
pub(super) fn room_for(left: u64) -> usize {
    usize::try_from(left).map_or(BODY, |left| left.clamp(HEAD, BODY))
}

/// Reads into the buffer's spare room, of which there is some `room` afterwards.
pub(super) fn fill<S: tokio::io::AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    room: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if input.capacity() - input.len() < room / 2 {
        input.reserve(room);
    }
    poll_read_buf(Pin::new(stream), cx, input)
}
