//! The body of an answer that is still coming.

use super::connection::{Connection, Room, fill};
use super::decoder::{Decoded, Decoder};
use super::sending::Sending;
use crate::upstream::{ExchangeError, Wire, trailers};
use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadHalf;
use tokio::task::AbortHandle;

/// How long the rest of a request may take whose answer is over.
const LINGER: Duration = Duration::from_secs(30);

/// An answer's body, read from its connection as fast as it is taken. Dropped before its end, it
/// closes the connection.
#[derive(Debug)]
pub(super) struct Receiving {
    decoder: Decoder,
    source: Option<Source>,
    room: Room,
}

/// Where a body comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The request has been sent.
    Whole { connection: Connection, endpoint: u64, persists: bool },
    /// The request is still being sent, by a task of its own: an answer that nobody reads must not
    /// keep the request from being read.
    Half { stream: ReadHalf<Wire>, input: BytesMut, sender: Sender },
}

/// The task that sends the rest of a request. Aborted when dropped.
#[derive(Debug)]
pub(super) struct Sender(Option<AbortHandle>);

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Source {
    /// Goes on sending while the answer is read.
    pub fn split(connection: Connection, mut sending: Sending) -> Self {
        // A half that is dropped does not end the stream, which some servers take for a client that
        // left.
        let (stream, mut sink) = tokio::io::split(connection.stream);
        let task = tokio::spawn(async move {
            if let Err(error) = poll_fn(|cx| sending.poll(&mut sink, cx)).await {
                tracing::debug!(%error, "The rest of a request answered early was not sent");
            }
        });
        let sender = Sender(Some(task.abort_handle()));
        Self::Half { stream, input: connection.input, sender }
    }

    fn input(&mut self) -> &mut BytesMut {
        match self {
            Self::Whole { connection, .. } => &mut connection.input,
            Self::Half { input, .. } => input,
        }
    }

    fn poll_fill(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Whole { connection: Connection { stream, input, .. }, .. } => {
                fill(stream, input, room, cx)
            }
            Self::Half { stream, input, .. } => fill(stream, input, room, cx),
        }
    }

    /// The answer was read to its end.
    fn finish(self) {
        match self {
            Self::Whole { connection, endpoint, persists } => connection.keep(endpoint, persists),
            // The request goes on to its own end, if that comes soon.
            Self::Half { mut sender, .. } => {
                if let Some(task) = sender.0.take() {
                    tokio::spawn(async move {
                        tokio::time::sleep(LINGER).await;
                        task.abort();
                    });
                }
            }
        }
    }
}

impl Receiving {
    pub fn new(decoder: Decoder, source: Source) -> Self {
        let room = Room::new(decoder.at_least());
        let mut receiving = Self { decoder, source: Some(source), room };
        receiving.finish_if_over();
        receiving
    }

    fn finish_if_over(&mut self) {
        if self.decoder.is_over()
            && let Some(source) = self.source.take()
        {
            source.finish();
        }
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, ExchangeError>> {
        let Some(source) = &mut self.source else { return Poll::Ready(Ok(Decoded::End)) };
        loop {
            match self.decoder.decode(source.input())? {
                Decoded::More => {}
                decoded => return Poll::Ready(Ok(decoded)),
            }
            match ready!(source.poll_fill(self.room.bytes(), cx))? {
                0 => return Poll::Ready(self.decoder.end().map(|()| Decoded::End)),
                read => self.room.was_read(read),
            }
        }
    }
}

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let decoded = ready!(self.poll_decoded(cx));
        self.finish_if_over();
        Poll::Ready(match decoded {
            Ok(Decoded::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Decoded::Trailers(trailers)) => {
                trailers::clean(trailers).map(|trailers| Ok(Frame::trailers(trailers)))
            }
            Ok(Decoded::End | Decoded::More) => None,
            Err(error) => {
                self.source = None;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            Decoder::Length(left) => SizeHint::with_exact(left),
            Decoder::Over => SizeHint::with_exact(0),
            Decoder::Chunked(_) | Decoder::UntilClose => SizeHint::default(),
        }
    }
}
