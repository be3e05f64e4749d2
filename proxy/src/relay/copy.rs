//! Bytes both ways between two streams, until both have ended.
//!
//! What is read goes through one buffer per thread: a connection that says nothing holds none. Only
//! what the other side does not take at once is kept, and nothing more is read until it is gone.

use bytes::{Buf as _, BytesMut};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

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
    state: State,
    unflushed: bool,
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
    /// Whether the end has been passed on.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Takes it that the reader has ended.
    pub(super) fn end(&mut self) {
        self.state = State::Ending;
    }

    /// Nothing more can be moved.
    pub(super) fn give_up(&mut self) {
        self.rest = BytesMut::new();
        self.state = State::Ended;
    }

    /// Moves what can be moved; ready when the end has been passed on. `moved` hears of every
    /// number of bytes that the writer took.
    pub(super) fn poll_move<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        moved: &mut impl FnMut(usize),
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while self.state == State::Open {
            ready!(self.poll_rest(cx, to, moved)).map_err(Broken::Writing)?;
            let read = with_buffer(|bytes| {
                let mut buf = ReadBuf::new(bytes);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut buf)).map_err(Broken::Reading)?;
                let ended = buf.filled().is_empty();
                self.write(cx, to, buf.filled(), moved).map_err(Broken::Writing)?;
                Poll::Ready(Ok(ended))
            });
            match read {
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Ok(true)) => self.state = State::Ending,
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Broken::Writing)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        self.poll_end(cx, to, moved).map_err(Broken::Writing)
    }

    /// Writes as much as is taken, and keeps the rest.
    fn write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        mut bytes: &[u8],
        moved: &mut impl FnMut(usize),
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, bytes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => {
                    bytes = &bytes[taken..];
                    self.unflushed = true;
                    moved(taken);
                }
                Poll::Pending => {
                    self.rest.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    fn poll_rest<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        moved: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let taken = ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(taken);
            self.unflushed = true;
            moved(taken);
            if self.rest.is_empty() {
                self.rest = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_end<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        moved: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        if self.state == State::Ending {
            ready!(self.poll_rest(cx, to, moved))?;
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
    let spare = SPARE.take().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let mut buffer = spare;
    let result = work(&mut buffer);
    SPARE.set(Some(buffer));
    result
}
