//! The connection loop: hyper's state machine, and what the handle orders besides: timeouts, drain,
//! endings that are not HTTP.
//!
//! hyper's own header timer is off because it would also run on an idle keep-alive connection; see
//! [`super::watch`].

use super::answer::{answer_h1, answer_h2};
use super::farewell::{dismiss, finish};
use super::handle::{Ending, Handle, Order, Phase};
use super::stream::Stream;
use super::streams::Streams;
use crate::body::BoxError;
use crate::peer::Peer;
use crate::serve::Serve;
use bytes::Bytes;
use http::{Method, Request};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// HTTP/2: requests that a client may have open at once on one connection.
const STREAMS: u32 = 256;
/// HTTP/2: bytes of one request's body that may wait for whoever reads them.
const STREAM_WINDOW: u32 = 256 * 1024;
/// HTTP/2: the same for all bodies of a connection: room for each, so that those that nobody reads,
/// however many, do not hold up their neighbours.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;
/// HTTP/2: bytes of one answer that may wait for the client, besides the piece that it is taken from.
const SEND_BUFFER: usize = 128 * 1024;

/// What the handle wants of the connection.
enum Turn {
    /// hyper is done with it.
    Done(hyper::Result<()>),
    HeaderTimeout,
    IdleTimeout,
    Drain,
    End(Ending),
}

/// What is left to do when a conversation is over.
enum Finale {
    /// Nothing: the connection is closed.
    Close,
    /// hyper has ended it in good order.
    Ended,
    /// The client has to hear this yet, besides what hyper has told it.
    Say(Bytes),
    /// It did not go on with what it had begun.
    Dismiss,
}

/// One of hyper's connections.
trait Conversation: Future<Output = hyper::Result<()>> + Unpin {
    /// Lets it end with what is under way.
    fn wind_up(&mut self);
}

impl<S, B> Conversation for http1::UpgradeableConnection<TokioIo<Stream>, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    fn wind_up(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<S, B> Conversation for http2::Connection<TokioIo<Stream>, S, Streams>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    Streams: Http2ServerConnExec<S::Future, B>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    fn wind_up(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// Serves one connection of HTTP/1 until it closes, or its handle is told to end it. Dropping the
/// future closes the connection.
///
/// `stream` is the connection itself, or what was found inside it: the bytes of a CONNECT tunnel are
/// served by the same loop under the same handle. A header section larger than `header_bytes` is
/// answered 431.
pub(crate) async fn drive_h1<S: Serve>(
    stream: Stream,
    peer: Arc<Peer>,
    serve: Arc<S>,
    header_bytes: usize,
) where
    S::Body: Unpin,
{
    peer.connection.enter(Phase::Idle);
    let uploads = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        let uploads_now = !request.body().is_end_stream() || *request.method() == Method::CONNECT;
        uploads.store(uploads_now, Ordering::Relaxed);
        answer_h1(request, &serve, &peer)
    });
    let mut connection = http1::Builder::new()
        .max_buf_size(header_bytes.max(8192))
        // Head and body in one buffer: a vectored write costs the system, and hyper, more than a copy.
        .writev(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let finale = match converse(&mut connection, &peer).await {
        // An answer may come before all of its request has, or instead of it.
        Finale::Ended if uploads.load(Ordering::Relaxed) => Finale::Say(Bytes::new()),
        finale => finale,
    };
    let stream = || connection.into_parts().map(|parts| parts.io.into_inner());
    // Boxed: few connections end with more words.
    match finale {
        Finale::Close | Finale::Ended => {}
        Finale::Dismiss => {
            if let Some(stream) = stream() {
                Box::pin(dismiss(stream, HEADER_TIMEOUT)).await;
            }
        }
        Finale::Say(bytes) => {
            if let Some(stream) = stream() {
                Box::pin(finish(stream, &bytes, &peer.connection)).await;
            }
        }
    }
}

/// Serves one connection in either version.
pub async fn drive<S: Serve>(
    stream: Stream,
    h2: bool,
    peer: Arc<Peer>,
    serve: Arc<S>,
    header_bytes: usize,
) where
    S::Body: Unpin,
{
    if h2 {
        drive_h2(stream, peer, serve, header_bytes).await;
    } else {
        drive_h1(stream, peer, serve, header_bytes).await;
    }
}

/// Serves one connection of HTTP/2 in the same way.
///
/// Rapid resets, CONTINUATION and empty DATA floods end the connection: the limits are the h2
/// crate's own.
async fn drive_h2<S: Serve>(stream: Stream, peer: Arc<Peer>, serve: Arc<S>, header_bytes: usize)
where
    S::Body: Unpin,
{
    peer.connection.enter(Phase::Between);
    let service = service_fn(|request| answer_h2(request, &serve, &peer));
    let mut connection = http2::Builder::new(Streams(peer.connection.clone()))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), service);
    converse(&mut connection, &peer).await;
}

/// Until hyper is done with it, or the handle has ended it.
async fn converse(connection: &mut impl Conversation, peer: &Peer) -> Finale {
    let handle = &peer.connection;
    let mut draining = false;
    // Whether nothing was going on when the drain came, so that there is nothing to hear.
    let mut unused = false;
    let mut registered = false;
    loop {
        let turn = poll_fn(|cx| {
            // The task stays the same, so once is enough until the waker has been used.
            if !std::mem::replace(&mut registered, true) {
                handle.register(cx);
            }
            if handle.is_told_anything()
                && let Some(turn) = next_order(handle, draining)
            {
                registered = false;
                return Poll::Ready(turn);
            }
            Pin::new(&mut *connection).poll(cx).map(Turn::Done)
        })
        .await;
        match turn {
            Turn::Done(Ok(())) if unused => return Finale::Close,
            Turn::Done(Ok(())) => return Finale::Ended,
            Turn::Done(Err(error)) if report(&error, peer) => return Finale::Say(Bytes::new()),
            Turn::Done(Err(_)) | Turn::IdleTimeout => return Finale::Close,
            Turn::Drain => {
                draining = true;
                unused = handle.phase() != Phase::Busy;
                connection.wind_up();
            }
            Turn::HeaderTimeout => {
                count_header_timeout(peer);
                return Finale::Dismiss;
            }
            Turn::End(Ending::Raw(bytes)) => return Finale::Say(bytes),
            Turn::End(Ending::Stall) => {
                until_drained(handle).await;
                return Finale::Close;
            }
            Turn::End(Ending::Reset | Ending::Close) => return Finale::Close,
        }
    }
}

/// The order to obey next; those that no longer apply are taken back.
fn next_order(handle: &Handle, draining: bool) -> Option<Turn> {
    if let Some(ending) = handle.ending() {
        return Some(Turn::End(ending));
    }
    // A request may have come since the timer was looked at.
    if handle.untell(Order::HeaderTimeout) && handle.phase() == Phase::Header {
        return Some(Turn::HeaderTimeout);
    }
    let idle = matches!(handle.phase(), Phase::Idle | Phase::Between);
    if handle.untell(Order::IdleTimeout) && idle {
        return Some(Turn::IdleTimeout);
    }
    if handle.untell(Order::Stalled) && handle.phase() == Phase::Busy {
        return Some(Turn::IdleTimeout);
    }
    (handle.is_told(Order::Drain) && !draining).then_some(Turn::Drain)
}

async fn until_drained(handle: &Handle) {
    poll_fn(|cx| {
        handle.register(cx);
        if handle.is_told(Order::Drain) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// What a client hears that began a request and did not go on.
pub(crate) const HEADER_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\
    x-stitch-reason: header_timeout\r\ncontent-length: 0\r\n\r\n";

pub(crate) fn count_header_timeout(peer: &Peer) {
    metrics::counter!("stitch_bad_requests_total", "reason" => "header_timeout").increment(1);
    tracing::debug!(peer = %peer.remote, "Header section was not finished in time");
}

/// A connection that broke is normal; what the peer sent wrong is counted. Whether it did.
fn report(error: &hyper::Error, peer: &Peer) -> bool {
    let refused = error.is_parse() || error.is_parse_too_large();
    if refused {
        metrics::counter!("stitch_bad_requests_total", "reason" => "bad_request").increment(1);
        tracing::debug!(peer = %peer.remote, %error, "Refused what is not HTTP");
    } else {
        tracing::trace!(peer = %peer.remote, %error, "Connection ended");
    }
    refused
}
