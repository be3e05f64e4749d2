//! The connection loop: hyper's state machine, the header and idle timers, drain, and endings
//! that are not HTTP.
//!
//! hyper's own header timer is off because it would also run on an idle keep-alive connection.
//! One sleep per connection is re-armed only when it fires, so a request costs no timer work.

use super::body::Departing;
use super::handle::{Ending, Handle, Phase};
use super::host;
use crate::body::Body;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::reason::Reason;
use crate::serve::Serve;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Bounds on one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnOptions {
    /// Largest header section in bytes; larger ones are answered 431.
    pub header_bytes: usize,
    /// Longest time to finish a header section; then 408.
    pub header_timeout: Duration,
    /// Longest time between requests; then closed.
    pub idle: Duration,
}

/// What the timers, the drain or the handle want of the connection.
enum Turn<R> {
    /// hyper is done with it.
    Done(R),
    HeaderTimeout,
    IdleTimeout,
    Drain,
    End(Ending),
}

/// Serves one connection until it closes, `draining` has begun and its request is answered, or a
/// timer ends it. Dropping the future closes the connection.
///
/// `io` is the socket of the connection, or what was found inside it: the bytes of a CONNECT tunnel
/// are served by the same loop under the same handle.
pub async fn drive<S: Serve, Io>(
    io: Io,
    peer: Arc<Peer>,
    serve: Arc<S>,
    options: ConnOptions,
    draining: CancellationToken,
) where
    S::Body: Unpin,
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handle = peer.connection.clone();
    handle.enter(Phase::Idle);
    let io = TokioIo::new(io);
    let service = service_fn(|request| answer(request, &serve, &peer));
    let mut connection = http1::Builder::new()
        .max_buf_size(options.header_bytes.max(8192))
        .serve_connection(io, service)
        .with_upgrades();
    let mut timer = pin!(sleep_until(Instant::now() + options.idle.min(options.header_timeout)));
    let mut cancelled = pin!(draining.cancelled());
    let mut asked_to_drain = false;
    loop {
        let turn = poll_fn(|cx| {
            handle.register(cx);
            if let Some(ending) = handle.ending() {
                return Poll::Ready(Turn::End(ending));
            }
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Turn::Done(result));
            }
            if !asked_to_drain && cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Drain);
            }
            poll_timer(&handle, timer.as_mut(), &options, cx)
        })
        .await;
        match turn {
            Turn::Done(Ok(())) => return,
            Turn::Done(Err(error)) => return report(&error, &peer),
            Turn::Drain => {
                asked_to_drain = true;
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
            Turn::End(Ending::Stall) => return draining.cancelled().await,
            // One more poll lets the IO wrapper set the linger option before the socket closes.
            Turn::End(Ending::Reset | Ending::Close) => {
                let _ = (&mut connection).await;
                return;
            }
        }
    }
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

/// Fires when the present phase has lasted too long; otherwise re-arms the timer for when it will.
fn poll_timer<R>(
    handle: &Handle,
    mut timer: Pin<&mut Sleep>,
    options: &ConnOptions,
    cx: &mut Context<'_>,
) -> Poll<Turn<R>> {
    while timer.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        let (limit, turn) = match handle.phase() {
            Phase::Header => (options.header_timeout, Turn::HeaderTimeout),
            Phase::Idle => (options.idle, Turn::IdleTimeout),
            Phase::Busy => {
                timer.as_mut().reset(now + options.idle.min(options.header_timeout));
                continue;
            }
        };
        let due = handle.since() + limit;
        if due <= now {
            return Poll::Ready(turn);
        }
        // A phase with a shorter limit may begin before `due`.
        timer.as_mut().reset(due.min(now + options.header_timeout));
    }
    Poll::Pending
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
    let answering = match host::refuse(&request) {
        Some(why) => {
            let problem = Problem::new(Reason::BadRequest, why);
            let mut response = problem.respond(request.headers());
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Err(Box::new(response))
        }
        None => Ok(serve.clone().serve(request.map(Body::from), peer.clone())),
    };
    async move {
        let response = match answering {
            Ok(answering) => answering.await.map(Either::Left),
            Err(refusal) => refusal.map(Either::Right),
        };
        Ok(response.map(|body| Departing { body, handle }))
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
