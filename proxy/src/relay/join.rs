//! Two streams become one, until both have ended or nothing moves any more.

use super::copy::{Broken, Half};
use super::side::Side;
use super::tally::Tally;
use std::future::{Future as _, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use stitch_net::conn::{Ending, Handle};

/// How a relay ended.
#[derive(Debug)]
pub(crate) enum Joined {
    /// Both sides had nothing more to say.
    Closed,
    /// The client's connection broke.
    Client(io::Error),
    /// The service's connection broke.
    Upstream(io::Error),
    /// No byte moved for too long.
    Idle,
    /// The client's connection was told to end.
    Told,
}

/// Moves bytes both ways until both sides have ended; an end is passed on as an end, a reset as a
/// reset. Counts every byte as the other side takes it. The handle, if there is one, is the
/// client's: its timer is kept going, and what it orders is obeyed.
pub(crate) async fn join<C: Side, U: Side>(
    client: &mut C,
    upstream: &mut U,
    handle: Option<&Handle>,
    tally: &mut Tally,
) -> Joined {
    let _busy = handle.map(Handle::occupy);
    let cut = async {
        match handle {
            Some(handle) => handle.cut().await,
            None => pending().await,
        }
    };
    let mut cut = pin!(cut);
    let mut halves = Halves::default();
    poll_fn(|cx| {
        if cut.as_mut().poll(cx).is_ready() {
            let told = handle.is_some_and(|handle| handle.ending().is_some());
            return Poll::Ready(if told { Joined::Told } else { Joined::Idle });
        }
        halves.poll(cx, client, upstream, handle, tally)
    })
    .await
}

/// Both directions.
#[derive(Default)]
struct Halves {
    up: Half,
    down: Half,
    /// What took no more bytes, while the other direction goes on: a service that has answered and
    /// closed can be read, though not written.
    deaf: Option<Joined>,
}

impl Halves {
    /// Moves what can be moved, and counts it.
    fn poll<C: Side, U: Side>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
        handle: Option<&Handle>,
        tally: &mut Tally,
    ) -> Poll<Joined> {
        let (up, down) = (self.up.moved(), self.down.moved());
        let joined = self.poll_both(cx, client, upstream, handle);
        let (up, down) = (self.up.moved() - up, self.down.moved() - down);
        tally.count_in(up);
        tally.count_out(down);
        // What goes from socket to socket is not seen by the connection's own timer.
        if let Some(handle) = handle.filter(|_| up + down > 0) {
            handle.touch();
        }
        joined
    }

    fn poll_both<C: Side, U: Side>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
        handle: Option<&Handle>,
    ) -> Poll<Joined> {
        match self.up.poll_move(cx, client, upstream) {
            Poll::Ready(Err(Broken::Reading(error))) => {
                upstream.abort();
                return Poll::Ready(Joined::Client(error));
            }
            Poll::Ready(Err(Broken::Writing(error))) => {
                self.up.give_up();
                if error.kind() == io::ErrorKind::ConnectionReset {
                    self.down.doubt();
                }
                self.deaf.get_or_insert(Joined::Upstream(error));
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let mut down = self.down.poll_move(cx, upstream, client);
        // Many a server ends TLS without saying so, once its client has gone.
        if let Poll::Ready(Err(Broken::Reading(error))) = &down
            && error.kind() == io::ErrorKind::UnexpectedEof
            && self.up.has_ended()
        {
            self.down.end();
            down = self.down.poll_move(cx, upstream, client);
        }
        match down {
            Poll::Ready(Err(Broken::Reading(error))) => {
                match handle {
                    Some(handle) => handle.end(Ending::Reset),
                    None => client.abort(),
                }
                return Poll::Ready(Joined::Upstream(error));
            }
            Poll::Ready(Err(Broken::Writing(error))) => {
                self.down.give_up();
                if error.kind() == io::ErrorKind::ConnectionReset {
                    self.up.doubt();
                }
                self.deaf.get_or_insert(Joined::Client(error));
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if self.up.has_ended() && self.down.has_ended() {
            Poll::Ready(self.deaf.take().unwrap_or(Joined::Closed))
        } else {
            Poll::Pending
        }
    }
}
