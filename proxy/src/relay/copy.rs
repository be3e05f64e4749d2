//! Bytes from one stream to another, until the first has ended.
//!
//! What is read goes through one buffer per thread: a connection that says nothing holds none. Only
//! what the other side does not take at once is kept, and nothing more is read until it is gone.

use super::side::Side;
use super::splice::{Conduit, Spliced};
use bytes::{Buf as _, BytesMut};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;
/// Bytes after which two sockets are joined within the kernel.
const MANY: u64 = 64 * 1024;
/// Bytes that one connection moves before others have their turn.
const TURN: u64 = 1024 * 1024;

thread_local! {
    /// Taken while it is in use.
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Which of the two broke.
#[derive(Debug)]
pub(super) enum Broken {
    /// The one that is read.
    Reading(io::Error),
    /// The one that is written.
    Writing(io::Error),
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Read, and not yet taken by the other side.
    rest: BytesMut,
    conduit: Conduit,
    moved: u64,
    state: State,
    unflushed: bool,
    /// Writing to the reader was met by a reset, which the system tells once: an end that comes
    /// without another byte is none.
    doubted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Its reader has ended; the writer has to be told.
    Ending,
    Ended,
}

impl Half {
    /// Bytes that the writer has taken.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether the end has been passed on.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes it that the reader has ended.
    pub(super) fn end(&mut self) {
        self.state = State::Ending;
    }

    /// The reader has reset its connection, as a write to it was told.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Nothing more can be moved.
    pub(super) fn give_up(&mut self) {
        (self.rest, self.conduit) = (BytesMut::new(), Conduit::default());
        self.state = State::Ended;
    }

    /// Moves what can be moved; ready when the end has been passed on.
    pub(super) fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
        to: &mut impl Side,
    ) -> Poll<Result<(), Broken>> {
        let turn = self.moved + TURN;
        while self.state == State::Open {
            if self.moved >= turn {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.poll_turn(cx, from, to)? {
                Poll::Ready(false) => self.doubted = false,
                Poll::Ready(true) if self.doubted => {
                    let reset = io::ErrorKind::ConnectionReset.into();
                    return Poll::Ready(Err(Broken::Reading(reset)));
                }
                Poll::Ready(true) => self.state = State::Ending,
                Poll::Pending => {
                    if self.unflushed && self.rest.is_empty() {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Broken::Writing)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        self.poll_end(cx, to).map_err(Broken::Writing)
    }

    /// Moves what is there, once; whether the reader has ended.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
        to: &mut impl Side,
    ) -> Poll<Result<bool, Broken>> {
        ready!(self.poll_rest(cx, to)).map_err(Broken::Writing)?;
        if self.moved >= MANY
            && let (Some(from), Some(to)) = (from.bare(), to.bare())
        {
            match ready!(self.conduit.poll_move(cx, from, to))? {
                Spliced::Moved(bytes) => {
                    self.moved += bytes as u64;
                    return Poll::Ready(Ok(false));
                }
                Spliced::Ended => return Poll::Ready(Ok(true)),
                Spliced::Refused => {}
            }
        }
        with_buffer(|bytes| {
            let mut buf = ReadBuf::new(bytes);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut buf)).map_err(Broken::Reading)?;
            self.write(cx, to, buf.filled()).map_err(Broken::Writing)?;
            Poll::Ready(Ok(buf.filled().is_empty()))
        })
    }

    /// Writes as much as is taken, and keeps the rest.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut impl Side,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, bytes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => {
                    bytes = &bytes[taken..];
                    self.wrote(taken);
                }
                Poll::Pending => {
                    self.rest.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, to: &mut impl Side) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let taken = ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(taken);
            self.wrote(taken);
            if self.rest.is_empty() {
                self.rest = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        self.unflushed = true;
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut impl Side) -> Poll<io::Result<()>> {
        if self.state == State::Ending {
            ready!(self.poll_rest(cx, to))?;
            match ready!(Pin::new(&mut *to).poll_shutdown(cx)) {
                // It has gone altogether, and so needs not be told.
                Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                    return Poll::Ready(Err(error));
                }
                _ => self.state = State::Ended,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Lends this thread's buffer; a new one where it is lent already.
fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = SPARE.take().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let result = work(&mut buffer);
    SPARE.set(Some(buffer));
    result
}
