//! One request and its answer on one connection.

use super::connection::Connection;
use super::decoder::Decoder;
use super::receiving::{Receiving, Source};
use super::response::{self, Head};
use super::sending::Sending;
use crate::relay::Side;
use crate::upstream::ExchangeError;
use http::{Response, StatusCode};
use std::task::{Context, Poll, ready};
use stitch_net::Body;
use stitch_net::conn::Ahead;
use tokio::time::Instant;

/// Most 1xx answers in front of one answer.
const MOST_INTERIM: u32 = 32;

/// An exchange whose answer has not begun.
#[derive(Debug)]
pub(crate) struct Exchange {
    connection: Connection,
    sending: Sending,
    /// Whether nothing more is to be sent.
    sent: bool,
    /// Why sending ended early. The answer may tell the reason and is waited for.
    broken: Option<ExchangeError>,
    /// Whether any byte of an answer has come.
    heard: bool,
    /// Answers before the answer so far.
    interim: u32,
}

/// What an exchange comes to.
pub(crate) enum Received {
    /// An answer; its body reads on from the connection.
    Response(Box<Response<Body>>),
    /// A 101, and what goes on behind it.
    Switched(Box<Response<Body>>, Box<dyn Side>),
}

impl Exchange {
    pub fn new(connection: Connection, sending: Sending) -> Self {
        Self { connection, sending, sent: false, broken: None, heard: false, interim: 0 }
    }

    /// Sends, and reads the head of the answer. Both go on at once, because an answer may come
    /// before the request is whole. Dropping the exchange closes the connection.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, ExchangeError>> {
        if !self.sent {
            self.sent = match self.sending.poll(&mut self.connection.stream, cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(error @ ExchangeError::Broken(_))) => {
                    self.broken = Some(error);
                    true
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            };
        }
        loop {
            let ended = match ready!(self.connection.poll_fill(cx)) {
                Ok(0) => Some(ExchangeError::Broken(None)),
                Ok(_) => None,
                Err(error) => Some(error.into()),
            };
            if let Some(error) = ended {
                return Poll::Ready(Err(self.broken.take().unwrap_or(error)));
            }
            self.heard = true;
            while let Some(head) =
                response::parse(&mut self.connection.input, self.sending.is_head())?
            {
                let status = head.response.status();
                if status == StatusCode::SWITCHING_PROTOCOLS && !self.sent {
                    let what = "it switched protocols before it had the whole request";
                    return Poll::Ready(Err(ExchangeError::protocol(what)));
                }
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(head));
                }
                self.interim += 1;
                if self.interim > MOST_INTERIM {
                    return Poll::Ready(Err(ExchangeError::protocol(
                        "its 1xx answers have no end",
                    )));
                }
                metrics::counter!("stitch_upstream_informational_dropped_total").increment(1);
                if self.connection.input.is_empty() {
                    break;
                }
            }
        }
    }

    /// Whether it is late for the head of the answer.
    pub fn poll_late(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_late(at, cx)
    }

    /// The request, if after this error it can be sent on another connection: this one died without
    /// an answer, and nothing can have happened twice.
    pub fn into_unanswered(self, error: &ExchangeError) -> Option<Sending> {
        let died = matches!(error, ExchangeError::Broken(_)) && !self.heard;
        if died { self.sending.restart() } else { None }
    }

    /// Goes on with the answer's body. `endpoint` is whose pool the connection goes to afterwards.
    pub fn into_received(self, head: Head, endpoint: u64) -> Received {
        let Self { mut connection, sending, sent, broken, .. } = self;
        let Head { mut response, mut decoder, persists } = head;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Connection { stream, input, .. } = connection;
            return Received::Switched(response, Box::new(Ahead::with(stream, input)));
        }
        let persists = persists && broken.is_none();
        let source = if sent {
            if let Some(body) = take_whole(&mut decoder, &mut connection) {
                connection.keep(endpoint, persists);
                *response.body_mut() = body;
                return Received::Response(response);
            }
            Source::Whole { connection, endpoint, persists }
        } else {
            Source::split(connection, sending)
        };
        *response.body_mut() = Body::boxed(Receiving::new(decoder, source));
        Received::Response(response)
    }
}

/// The body, if it is here already, as small ones mostly are.
fn take_whole(decoder: &mut Decoder, connection: &mut Connection) -> Option<Body> {
    match *decoder {
        Decoder::Over | Decoder::Length(0) => Some(Body::Empty),
        Decoder::Length(length) => {
            let length = usize::try_from(length).ok()?;
            let here = length <= connection.input.len();
            here.then(|| Body::from(connection.input.split_to(length).freeze()))
        }
        Decoder::Chunked(_) | Decoder::UntilClose => None,
    }
}
