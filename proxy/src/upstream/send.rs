//! One request to one endpoint, over a kept connection or a new one.
//!
//! A kept connection may have been closed by the other side at any moment. When it dies before the
//! first response byte the request is sent once more on a fresh connection, silently, if that is
//! safe: nothing of it was written, or it has no body and a safe or idempotent method (RFC 9110
//! §9.2.2).

use super::connect::{ConnectError, connect};
use super::endpoint::Endpoint;
use super::h1::{Connection, Exchange, ExchangeError, Received, RequestHead, Sending, pool};
use std::future::poll_fn;
use std::time::Duration;
use stitch_net::Body;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection; nothing was sent.
    Connect(ConnectError),
    /// There was one.
    Exchange(ExchangeError),
}

/// Sends a request and waits for the head of its answer.
///
/// # Errors
/// See [`SendError`]. Dropping the future closes the connection that it used.
pub(crate) async fn send(
    endpoint: &Endpoint,
    body: Body,
    head: &impl RequestHead,
    connect_limit: Duration,
) -> Result<Received, SendError> {
    let mut sending = Sending::new(head, body);
    if let Some(connection) = pool::take(endpoint.id, !sending.may_be_repeated()) {
        let mut exchange = Exchange::new(connection, sending);
        match poll_fn(|cx| exchange.poll_head(cx)).await {
            Ok(head) => return Ok(exchange.into_received(head, endpoint.id)),
            Err(error) => match exchange.into_unanswered(&error) {
                Some(unanswered) => sending = unanswered,
                None => return Err(SendError::Exchange(error)),
            },
        }
    }
    // Boxed: connecting is rare, and its state is larger than all the rest.
    Box::pin(send_on_new_connection(endpoint, sending, connect_limit)).await
}

async fn send_on_new_connection(
    endpoint: &Endpoint,
    sending: Sending,
    connect_limit: Duration,
) -> Result<Received, SendError> {
    let stream = connect(endpoint, connect_limit).await.map_err(SendError::Connect)?;
    let mut exchange = Exchange::new(Connection::new(stream), sending);
    match poll_fn(|cx| exchange.poll_head(cx)).await {
        Ok(head) => Ok(exchange.into_received(head, endpoint.id)),
        Err(error) => Err(SendError::Exchange(error)),
    }
}
