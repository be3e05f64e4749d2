//! Bytes from one socket to another without a detour through this process, for connections that move
//! many of them.
//!
//! A pipe stands in between. It is lent for as long as there is something in it: a thread makes few,
//! and connections that are silent hold none.

use super::copy::Broken;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use stitch_net::conn::Socket;
use tokio::io::Interest;

/// What a pipe can hold, in bytes, if the system allows it; else what pipes usually can.
const ROOM: usize = 256 * 1024;
/// Pipes that a thread has at most; connections beyond go on as they are.
const MOST: usize = 32;

thread_local! {
    static PIPES: RefCell<Pipes> = const { RefCell::new(Pipes { spare: Vec::new(), made: 0 }) };
}

/// The pipes of one thread.
struct Pipes {
    /// Empty ones.
    spare: Vec<Ends>,
    made: usize,
}

struct Ends {
    out: OwnedFd,
    into: OwnedFd,
}

/// A pipe that is lent.
struct Pipe {
    /// Always there until it is dropped.
    ends: Option<Ends>,
    held: usize,
}

/// One direction's bytes in the kernel.
#[derive(Default)]
pub(super) struct Conduit {
    pipe: Option<Pipe>,
    /// These sockets cannot be used so.
    refused: bool,
}

/// What became of a turn.
pub(super) enum Spliced {
    /// So many bytes were moved.
    Moved(usize),
    /// The reader has ended.
    Ended,
    /// It has to be done otherwise.
    Refused,
}

impl Conduit {
    /// Moves what is there, once; what the writer does not take stays in the pipe.
    pub(super) fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &Socket,
        to: &Socket,
    ) -> Poll<Result<Spliced, Broken>> {
        if self.pipe.is_none() && !self.refused {
            match ready!(self.poll_fill(cx, from)).map_err(Broken::Reading)? {
                Some(0) => return Poll::Ready(Ok(Spliced::Ended)),
                Some(_) => {}
                None => self.refused = true,
            }
        }
        match &mut self.pipe {
            Some(pipe) => {
                let moved = ready!(pipe.poll_empty(cx, to)).map_err(Broken::Writing)?;
                if pipe.held == 0 {
                    self.pipe = None;
                }
                Poll::Ready(Ok(Spliced::Moved(moved)))
            }
            None => Poll::Ready(Ok(Spliced::Refused)),
        }
    }

    /// Fills a pipe; 0 is the end, and none means that there is no way to.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &Socket,
    ) -> Poll<io::Result<Option<usize>>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            // Taken only now: whoever waits should not have one.
            let Some(mut pipe) = Pipe::lend() else { return Poll::Ready(Ok(None)) };
            let Some(ends) = &pipe.ends else { return Poll::Ready(Ok(None)) };
            let filled = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &ends.into, None, ROOM, flags())?)
            });
            match filled {
                Ok(bytes) => {
                    pipe.held = bytes;
                    self.pipe = (bytes > 0).then_some(pipe);
                    return Poll::Ready(Ok(Some(bytes)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    return Poll::Ready(Ok(None));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Pipe {
    /// An empty pipe, unless there are too many.
    fn lend() -> Option<Self> {
        let ends = PIPES.with_borrow_mut(|pipes| match pipes.spare.pop() {
            Some(ends) => Some(ends),
            None if pipes.made >= MOST => None,
            None => {
                let ends = Ends::make()?;
                pipes.made += 1;
                Some(ends)
            }
        });
        Some(Self { ends: Some(ends?), held: 0 })
    }

    /// Empties it as far as the writer takes it, once.
    fn poll_empty(&mut self, cx: &mut Context<'_>, to: &Socket) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        loop {
            ready!(to.poll_write_ready(cx))?;
            let taken = to.try_io(Interest::WRITABLE, || {
                Ok(splice(&ends.out, None, to, None, self.held, flags())?)
            });
            match taken {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(bytes) => {
                    self.held -= bytes;
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Drop for Pipe {
    /// Gives it back; one that is not empty goes with its bytes.
    fn drop(&mut self) {
        let (ends, empty) = (self.ends.take(), self.held == 0);
        // The thread may be ending, and its pipes with it.
        let _ = PIPES.try_with(|pipes| {
            let Ok(mut pipes) = pipes.try_borrow_mut() else { return };
            match ends {
                Some(ends) if empty => pipes.spare.push(ends),
                _ => pipes.made = pipes.made.saturating_sub(1),
            }
        });
    }
}

impl Ends {
    fn make() -> Option<Self> {
        let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // A user who has many pipes gets small ones.
        let _ = fcntl_setpipe_size(&into, ROOM);
        Some(Self { out, into })
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

impl std::fmt::Debug for Conduit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.pipe.as_ref().map_or(0, |pipe| pipe.held);
        write!(f, "Conduit({held} bytes)")
    }
}
