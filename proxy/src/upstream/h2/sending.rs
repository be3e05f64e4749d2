//! A request's body on its way out, as fast as the endpoint takes it.

use crate::replay::{MOST, again};
use crate::upstream::{ExchangeError, trailers};
use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use stitch_net::Body;

/// A body and the stream that it goes to. Dropped before its end, the stream is reset, so that it
/// can never look whole.
#[derive(Debug)]
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    body: Body,
    /// Taken off the body, and not yet sent.
    piece: Bytes,
    /// All that was taken off the body, in case it has to be sent elsewhere; `None` when that is too
    /// much, or no longer wanted.
    taken: Option<Vec<Bytes>>,
    /// Bytes in `taken`.
    size: usize,
}

impl Sending {
    pub fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self { stream, body, piece: Bytes::new(), taken: Some(Vec::new()), size: 0 }
    }

    /// The body as it was, if what was taken off it has been kept.
    pub fn into_body(self) -> Option<Body> {
        Some(again(self.taken?, self.body))
    }

    /// Lets go of what was kept: there is an answer.
    pub fn keep_nothing(&mut self) {
        self.taken = None;
    }

    fn keep(&mut self, data: &Bytes) {
        self.size += data.len();
        match &mut self.taken {
            Some(taken) if self.size <= MOST => taken.push(data.clone()),
            taken => *taken = None,
        }
    }

    /// Sends what can be sent; ready when all of it was.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        loop {
            if !self.piece.is_empty() {
                ready!(self.poll_piece(cx))?;
                if self.piece.is_empty() && self.body.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                // While nothing is sent, only this tells that the endpoint wants no more.
                Poll::Pending => {
                    return self.stream.poll_reset(cx).map(|reset| Err(reset_by(reset)));
                }
            };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.keep(&data);
                        self.piece = data;
                    }
                    Err(frame) => {
                        self.keep_nothing();
                        let trailers = frame.into_trailers().ok().and_then(trailers::clean);
                        match trailers {
                            Some(trailers) => self.stream.send_trailers(trailers)?,
                            None => self.stream.send_data(Bytes::new(), true)?,
                        }
                        return Poll::Ready(Ok(()));
                    }
                },
                Some(Err(error)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(ExchangeError::Body(error)));
                }
                None => return Poll::Ready(Ok(self.stream.send_data(Bytes::new(), true)?)),
            }
        }
    }

    /// Sends as much of the piece as the endpoint has room for.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        let mut room = self.stream.capacity();
        if room == 0 {
            self.stream.reserve_capacity(self.piece.len());
            room = match ready!(self.stream.poll_capacity(cx)) {
                Some(room) => room?,
                None => return Poll::Ready(Err(ExchangeError::Broken(None))),
            };
        }
        let data = self.piece.split_to(room.min(self.piece.len()));
        let last = self.piece.is_empty() && self.body.is_end_stream();
        self.stream.send_data(data, last)?;
        Poll::Ready(Ok(()))
    }
}

fn reset_by(reset: Result<Reason, h2::Error>) -> ExchangeError {
    reset.map_or_else(Into::into, |reason| h2::Error::from(reason).into())
}
