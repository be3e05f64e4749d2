//! Where the system has no way to join two sockets, bytes are copied.

use super::copy::Broken;
use std::task::{Context, Poll};
use stitch_net::conn::Socket;

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Conduit;

/// What became of a turn; see the file beside this one.
#[expect(dead_code, reason = "one of them is all that ever happens here")]
pub(super) enum Spliced {
    Moved(usize),
    Ended,
    Refused,
}

impl Conduit {
    pub(super) fn poll_move(
        &mut self,
        _: &mut Context<'_>,
        _: &Socket,
        _: &Socket,
    ) -> Poll<Result<Spliced, Broken>> {
        Poll::Ready(Ok(Spliced::Refused))
    }
}
