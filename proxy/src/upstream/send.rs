//! One request to one endpoint, over a kept connection or a new one.
//!
//! A kept connection may have been closed by the other side at any moment. When it dies before the
//! first response byte the request is sent once more on a fresh connection, silently, if that is
//! safe: hyper never wrote it, or it has no body and a safe or idempotent method (RFC 9110 §9.2.2).

use super::connect::{ConnectError, connect};
use super::endpoint::Endpoint;
use super::pool::{self, Lease};
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use stitch_net::Body;

/// An answer's head, its body and the connection that it arrives on.
pub type Sent = (Response<Incoming>, Lease);

/// Why there is no answer.
#[derive(Debug)]
pub enum SendError {
    /// No connection; nothing was sent.
    Connect(ConnectError),
    /// The connection broke before an answer.
    Reset(hyper::Error),
    /// The answer is not HTTP, or its head is too large.
    Protocol(hyper::Error),
}

/// Makes the head of a request, once per sending.
pub trait RequestHead: Sync {
    /// The method.
    fn method(&self) -> &Method;
    /// The request with this body.
    fn with(&self, body: Body) -> Request<Body>;
}

/// Sends a request and waits for the head of its answer.
///
/// # Errors
/// See [`SendError`]. Dropping the future closes the connection that it used.
pub async fn send(
    endpoint: &Endpoint,
    body: Body,
    head: &impl RequestHead,
    connect_limit: Duration,
) -> Result<Sent, SendError> {
    let mut unsent = None;
    let mut body = Some(body);
    if let Some(mut sender) = pool::take(endpoint)
        && let Some(body) = body.take()
    {
        let replayable = body.is_end_stream() && is_idempotent(head.method());
        match sender.try_send_request(head.with(body)).await {
            Ok(response) => return Ok((response, Lease::new(endpoint, sender))),
            Err(mut error) if is_broken(error.error()) => {
                unsent = error.take_message();
                if unsent.is_none() && !replayable {
                    return Err(classify(error.into_error()));
                }
            }
            Err(error) => return Err(classify(error.into_error())),
        }
    }
    let request = unsent.unwrap_or_else(|| head.with(body.unwrap_or_default()));
    // Boxed: connecting is rare, and its state is larger than all the rest.
    Box::pin(send_on_new_connection(endpoint, request, connect_limit)).await
}

async fn send_on_new_connection(
    endpoint: &Endpoint,
    request: Request<Body>,
    connect_limit: Duration,
) -> Result<Sent, SendError> {
    let stream = connect(endpoint, connect_limit).await.map_err(SendError::Connect)?;
    let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(SendError::Reset)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::trace!(%error, "Upstream connection ended");
        }
    });
    match sender.send_request(request).await {
        Ok(response) => Ok((response, Lease::new(endpoint, sender))),
        Err(error) => Err(classify(error)),
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

/// Whether the connection itself failed, as opposed to what came over it.
fn is_broken(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || is_io(error)
}

fn is_io(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

fn classify(error: hyper::Error) -> SendError {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        SendError::Protocol(error)
    } else {
        SendError::Reset(error)
    }
}
