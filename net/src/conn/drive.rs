//! The connection loop: hyper's state machine, and what the handle orders besides: timeouts, drain,
//! endings that are not HTTP.
//!
//! hyper's own header timer is off because it would also run on an idle keep-alive connection; see
//! [`super::watch`].

use super::body::Departing;
use super::handle::{Ending, Handle, Order, Phase};
use super::{coding, host};
use crate::body::Body;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::reason::Reason;
use crate::serve::Serve;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// What the handle wants of the connection.
enum Turn<R> {
    /// hyper is done with it.
    Done(R),
    HeaderTimeout,
    IdleTimeout,
    Drain,
    End(Ending),
}

/// Serves one connection until it closes, or its handle is told to end it. Dropping the future
/// closes the connection.
///
/// `io` is the socket of the connection, or what was found inside it: the bytes of a CONNECT tunnel
/// are served by the same loop under the same handle. A header section larger than `header_bytes`
/// is answered 431.
pub async fn drive<S: Serve, Io>(io: Io, peer: Arc<Peer>, serve: Arc<S>, header_bytes: usize)
where
    S::Body: Unpin,
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handle = peer.connection.clone();
    handle.enter(Phase::Idle);
    let io = TokioIo::new(io);
    let service = service_fn(|request| answer(request, &serve, &peer));
    let mut connection = http1::Builder::new()
        .max_buf_size(header_bytes.max(8192))
        // Head and body in one buffer: a vectored write costs the system, and hyper, more than a copy.
        .writev(false)
        .serve_connection(io, service)
        .with_upgrades();
    let mut draining = false;
    let mut registered = false;
    loop {
        let turn = poll_fn(|cx| {
            // The task stays the same, so once is enough until the waker has been used.
            if !std::mem::replace(&mut registered, true) {
                handle.register(cx);
            }
            if handle.is_told_anything()
                && let Some(turn) = next_order(&handle, draining)
            {
                registered = false;
                return Poll::Ready(turn);
            }
            Pin::new(&mut connection).poll(cx).map(Turn::Done)
        })
        .await;
        match turn {
            Turn::Done(Ok(())) => return,
            Turn::Done(Err(error)) => return report(&error, &peer),
            Turn::Drain => {
                draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Turn::IdleTimeout => return,
            Turn::HeaderTimeout => {
                metrics::counter!("stitch_bad_requests_total", "reason" => "header_timeout")
                    .increment(1);
                tracing::debug!(peer = %peer.remote, "Header section was not finished in time");
                if let Some(parts) = connection.into_parts() {
                    finish(parts.io.into_inner(), HEADER_TIMEOUT).await;
                }
                return;
            }
            Turn::End(Ending::Raw(bytes)) => {
                if let Some(parts) = connection.into_parts() {
                    finish(parts.io.into_inner(), &bytes).await;
                }
                return;
            }
            Turn::End(Ending::Stall) => return until_drained(&handle).await,
            // One more poll lets the IO wrapper set the linger option before the socket closes.
            Turn::End(Ending::Reset | Ending::Close) => {
                let _ = (&mut connection).await;
                return;
            }
        }
    }
}

/// The order to obey next; those that no longer apply are taken back.
fn next_order<R>(handle: &Handle, draining: bool) -> Option<Turn<R>> {
    if let Some(ending) = handle.ending() {
        return Some(Turn::End(ending));
    }
    // A request may have come since the timer was looked at.
    if handle.untell(Order::HeaderTimeout) && handle.phase() == Phase::Header {
        return Some(Turn::HeaderTimeout);
    }
    if handle.untell(Order::IdleTimeout) && handle.phase() == Phase::Idle {
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

const HEADER_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\
    x-stitch-reason: header_timeout\r\ncontent-length: 0\r\n\r\n";

/// Writes the last bytes of a connection, for at most a second.
async fn finish<Io: AsyncWrite + Unpin>(mut stream: Io, bytes: &[u8]) {
    let write = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await
    };
    // The peer may be gone or not reading; either way the connection is over.
    let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
}

/// A handler's answer, or our own refusal, on its way out.
type Departure<S> = Response<Departing<Either<<S as Serve>::Body, Body>>>;

/// Not an `async fn`: those copy their arguments into the future that hyper then moves about.
fn answer<S: Serve>(
    request: Request<Incoming>,
    serve: &Arc<S>,
    peer: &Arc<Peer>,
) -> impl Future<Output = Result<Departure<S>, Infallible>> + use<S> {
    let handle = peer.connection.clone();
    handle.enter(Phase::Busy);
    let ends_by_close = request.version() < Version::HTTP_11;
    let answering = match host::refuse(&request).or_else(|| coding::refuse(&request)) {
        Some(why) => {
            let problem = Problem::new(Reason::BadRequest, why);
            let mut response = problem.respond(request.headers());
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Err(Box::new(response))
        }
        None => Ok(serve.serve(request.map(Body::from), peer.clone())),
    };
    async move {
        let response = match answering {
            Ok(answering) => answering.await.map(Either::Left),
            Err(refusal) => refusal.map(Either::Right),
        };
        Ok(response.map(|body| Departing { body, rest: Bytes::new(), handle, ends_by_close }))
    }
}

/// A connection that broke is normal; what the peer sent wrong is counted.
fn report(error: &hyper::Error, peer: &Peer) {
    if error.is_parse() || error.is_parse_too_large() {
        metrics::counter!("stitch_bad_requests_total", "reason" => "bad_request").increment(1);
        tracing::debug!(peer = %peer.remote, %error, "Refused what is not HTTP");
    } else {
        tracing::trace!(peer = %peer.remote, %error, "Connection ended");
    }
}
