//! Upgrades over HTTP/2: extended CONNECT (RFC 8441), and the bytes that go on behind it.

use super::pool::{Lease, Place};
use crate::relay::Side;
use crate::upstream::ExchangeError;
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use stitch_net::Body;
use stitch_net::conn::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a new connection's settings are waited for, and how often they are looked at.
const SETTINGS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(5));

/// What an upgrade comes to: the head of the answer, and the stream if it was a success.
pub(in crate::upstream) type Upgraded = (Box<Response<Body>>, Option<Box<dyn Side>>);

/// Asks for an upgrade by an extended CONNECT.
///
/// # Errors
/// When the endpoint does not take any, or the exchange breaks.
pub(in crate::upstream) async fn upgrade(
    lease: Lease,
    head: Request<()>,
) -> Result<Upgraded, ExchangeError> {
    let (send, mut place) = lease.into_parts();
    let takes = async {
        while !send.is_extended_connect_protocol_enabled() {
            tokio::time::sleep(SETTINGS.1).await;
        }
    };
    if tokio::time::timeout(SETTINGS.0, takes).await.is_err() {
        let why = "it takes no upgrades over HTTP/2 (SETTINGS_ENABLE_CONNECT_PROTOCOL)";
        return Err(ExchangeError::protocol(why));
    }
    let mut send = send.ready().await?;
    let (answer, sink) = send.send_request(head, false)?;
    let (head, source) = answer.await?.into_parts();
    let response = Box::new(Response::from_parts(head, Body::Empty));
    // A tunnel has a timer of its own, and is left when its client likes.
    place.finish();
    if !response.status().is_success() {
        return Ok((response, None));
    }
    let tunnel = Tunnel { sink, source, input: Bytes::new(), _place: place };
    Ok((response, Some(Box::new(tunnel))))
}

/// One stream of a connection as a stream of bytes. Dropped, it is cancelled.
struct Tunnel {
    sink: SendStream<Bytes>,
    source: RecvStream,
    /// Come, and not yet read.
    input: Bytes,
    _place: Place,
}

impl Side for Tunnel {
    /// Its connection has other streams.
    fn socket(&self) -> Option<&Socket> {
        None
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.input.is_empty() {
            match ready!(self.source.poll_data(cx)) {
                Some(Ok(data)) => self.input = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.input.len().min(buf.remaining());
        buf.put_slice(&self.input.split_to(length));
        let released = self.source.flow_control().release_capacity(length);
        Poll::Ready(released.map_err(io::Error::other))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut room = self.sink.capacity();
        if room == 0 {
            self.sink.reserve_capacity(bytes.len());
            room = match ready!(self.sink.poll_capacity(cx)) {
                Some(room) => room.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let length = room.min(bytes.len());
        let data = Bytes::copy_from_slice(&bytes[..length]);
        self.sink.send_data(data, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sink.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
