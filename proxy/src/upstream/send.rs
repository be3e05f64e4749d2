//! One request to one endpoint, over a kept connection or a new one, in whichever version of HTTP
//! the endpoint speaks.
//!
//! A kept connection may have been closed by the other side at any moment. When it dies before the
//! first response byte the request is sent once more on a fresh connection, silently, if that is
//! safe: nothing of it was written, or it has no body and a safe or idempotent method (RFC 9110
//! §9.2.2), or the endpoint says that it has not acted upon it (RFC 9113 §8.7).

use super::connect::{ConnectError, Offer, connect};
use super::endpoint::{Endpoint, Speaks};
use super::error::ExchangeError;
use super::h1::{Connection, Exchange, Head, Received, Sending, is_idempotent, pool};
use super::h2::{self, Lead, Lease};
use super::head::RequestHead;
use super::wire::Wire;
use http::Request;
use http_body::Body as _;
use std::future::poll_fn;
use std::mem::take;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use stitch_net::Body;
use tokio::time::{Instant, timeout, timeout_at};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection; nothing was sent. The body, if nothing was taken off it.
    Connect(ConnectError, Option<Body>),
    /// There was one.
    Exchange(ExchangeError),
}

impl SendError {
    /// With the body that was to be sent, if there was no connection.
    fn unsent(self, body: Body) -> Self {
        match self {
            Self::Connect(error, _) => Self::Connect(error, Some(body)),
            other => other,
        }
    }
}

/// How long the parts of a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To have a connection.
    pub connect: Duration,
    /// From having one to the answer's head.
    pub first_byte: Option<Duration>,
    /// When the attempt began: over a kept connection `first_byte` counts from then.
    pub began: Option<Instant>,
    /// When all of it has to be over.
    pub until: Option<Instant>,
}

impl Limits {
    /// Only to have a connection takes no longer than this.
    pub const fn connecting(connect: Duration) -> Self {
        Self { connect, first_byte: None, began: None, until: None }
    }

    /// When an answer's head has to be there if it is waited for since then, or from now on, and
    /// what it is called if it is not.
    fn of_head(self, since: Option<Instant>) -> Option<(Instant, ExchangeError)> {
        let first_byte = self.first_byte.and_then(|limit| {
            let since = since.unwrap_or_else(Instant::now);
            Some((since.checked_add(limit)?, ExchangeError::FirstByte(limit)))
        });
        match (first_byte, self.until) {
            (Some((at, _)), Some(until)) if until < at => Some((until, ExchangeError::Late)),
            (None, Some(until)) => Some((until, ExchangeError::Late)),
            (first_byte, _) => first_byte,
        }
    }
}

/// Sends a request and waits for the head of its answer. Takes the body out of its place: one that
/// was handed over would be kept in this future as well.
///
/// # Errors
/// See [`SendError`]. Dropping the future closes the connection that it used, or cancels its
/// exchange there.
pub(crate) async fn send(
    endpoint: &Endpoint,
    body: &mut Body,
    head: &impl RequestHead,
    limits: &Limits,
) -> Result<Received, SendError> {
    if endpoint.speaks() != Speaks::Http1 {
        let sending = Box::pin(send_otherwise(endpoint, take(body), head, *limits));
        return in_time(limits, sending).await;
    }
    // The usual case stands here itself, in as few words as it can: each future within a future,
    // and each value that is kept while it waits, costs every request.
    let sending = 'kept: {
        let mut exchange = match over_kept(endpoint, Sending::new(head, take(body))) {
            Ok(exchange) => exchange,
            Err(sending) => break 'kept sending,
        };
        let error = match head_within(&mut exchange, limits.of_head(limits.began)).await {
            Ok(head) => return Ok(exchange.into_received(head, endpoint.id)),
            Err(error) => error,
        };
        match exchange.into_unanswered(&error) {
            Some(unanswered) => unanswered,
            None => return Err(SendError::Exchange(error)),
        }
    };
    // Boxed: connecting is rare, and its state is larger than all the rest.
    in_time(limits, Box::pin(send_h1(endpoint, sending, *limits))).await
}

/// An exchange over a connection that was kept; what is to be sent comes back if there is none.
#[expect(clippy::result_large_err, reason = "as usual as the other, and every request comes here")]
fn over_kept(endpoint: &Endpoint, sending: Sending) -> Result<Exchange, Sending> {
    match pool::take(endpoint.id, !sending.may_be_repeated()) {
        Some(connection) => Ok(Exchange::new(connection, sending)),
        None => Err(sending),
    }
}

/// Holds what may need a connection first to the end of its time.
async fn in_time<S>(limits: &Limits, sending: Pin<Box<S>>) -> Result<Received, SendError>
where
    S: Future<Output = Result<Received, SendError>>,
{
    match limits.until {
        None => sending.await,
        Some(until) => Box::pin(timeout_at(until, sending))
            .await
            .unwrap_or(Err(SendError::Exchange(ExchangeError::Late))),
    }
}

/// Waits for the head of an answer, but not for ever: until when, and what it is called if it is not
/// there by then.
fn head_within(
    exchange: &mut Exchange,
    mut limit: Option<(Instant, ExchangeError)>,
) -> impl Future<Output = Result<Head, ExchangeError>> {
    poll_fn(move |cx| {
        let polled = exchange.poll_head(cx);
        if let (Poll::Pending, Some((at, _))) = (&polled, &limit) {
            ready!(exchange.poll_late(*at, cx));
            let late = limit.take().map(|(_, late)| late);
            return Poll::Ready(Err(late.unwrap_or(ExchangeError::Late)));
        }
        polled
    })
}

/// Over a new connection of HTTP/1.
async fn send_h1(
    endpoint: &Endpoint,
    sending: Sending,
    limits: Limits,
) -> Result<Received, SendError> {
    match connect(endpoint, Offer::Http1, limits.connect).await {
        Ok(wire) => exchange_h1(endpoint, wire, sending, limits).await,
        Err(error) => Err(SendError::Connect(error, sending.into_body())),
    }
}

async fn exchange_h1(
    endpoint: &Endpoint,
    wire: Wire,
    sending: Sending,
    limits: Limits,
) -> Result<Received, SendError> {
    let mut exchange = Exchange::new(Connection::new(wire), sending);
    match head_within(&mut exchange, limits.of_head(None)).await {
        Ok(head) => Ok(exchange.into_received(head, endpoint.id)),
        Err(error) => Err(SendError::Exchange(error)),
    }
}

/// To endpoints that speak HTTP/2, or that choose.
async fn send_otherwise(
    endpoint: &Endpoint,
    body: Body,
    head: &impl RequestHead,
    limits: Limits,
) -> Result<Received, SendError> {
    match (endpoint.speaks(), head.upgrades()) {
        (Speaks::Http2, true) => upgrade_h2(endpoint, head, limits).await,
        (Speaks::Http2, false) => send_h2(endpoint, body, head, limits).await,
        // HTTP/2 has upgrades too, but few servers that leave the choice take them.
        (_, true) => send_h1(endpoint, Sending::new(head, body), limits).await,
        (_, false) => send_either(endpoint, body, head, limits).await,
    }
}

/// To an endpoint that chooses its version when TLS begins.
async fn send_either(
    endpoint: &Endpoint,
    body: Body,
    head: &impl RequestHead,
    limits: Limits,
) -> Result<Received, SendError> {
    let repeatable = is_idempotent(head.method()) && body.is_end_stream();
    if let Some(connection) = pool::take(endpoint.id, !repeatable) {
        let mut exchange = Exchange::new(connection, Sending::new(head, body));
        return match head_within(&mut exchange, limits.of_head(limits.began)).await {
            Ok(head) => Ok(exchange.into_received(head, endpoint.id)),
            Err(error) => match exchange.into_unanswered(&error) {
                Some(unanswered) => send_h1(endpoint, unanswered, limits).await,
                None => Err(SendError::Exchange(error)),
            },
        };
    }
    match way(endpoint, limits).await {
        Err(error) => Err(error.unsent(body)),
        Ok(Way::H1(wire)) => exchange_h1(endpoint, *wire, Sending::new(head, body), limits).await,
        Ok(Way::H2(lease)) => exchange_h2(endpoint, lease, body, head, limits).await,
    }
}

async fn send_h2(
    endpoint: &Endpoint,
    body: Body,
    head: &impl RequestHead,
    limits: Limits,
) -> Result<Received, SendError> {
    match way(endpoint, limits).await {
        Err(error) => Err(error.unsent(body)),
        Ok(Way::H2(lease)) => exchange_h2(endpoint, lease, body, head, limits).await,
        // Without TLS nothing is chosen.
        Ok(Way::H1(_)) => Err(SendError::Exchange(ExchangeError::protocol("it chose HTTP/1"))),
    }
}

async fn upgrade_h2(
    endpoint: &Endpoint,
    head: &impl RequestHead,
    limits: Limits,
) -> Result<Received, SendError> {
    let way = way(endpoint, limits).await.map_err(|error| error.unsent(Body::Empty))?;
    let Way::H2(lease) = way else {
        return Err(SendError::Exchange(ExchangeError::protocol("it chose HTTP/1")));
    };
    let head =
        head.h2(endpoint).map_err(|error| SendError::Exchange(ExchangeError::Head(error)))?;
    let (response, stream) = h2::upgrade(lease, head).await.map_err(SendError::Exchange)?;
    Ok(match stream {
        Some(stream) => Received::Switched(response, stream),
        None => Received::Response(response),
    })
}

/// One exchange, and another one if the first surely was in vain.
async fn exchange_h2(
    endpoint: &Endpoint,
    lease: Lease,
    body: Body,
    head: &impl RequestHead,
    limits: Limits,
) -> Result<Received, SendError> {
    let repeatable = is_idempotent(head.method()) && body.is_end_stream();
    let request =
        || head.h2(endpoint).map_err(|error| SendError::Exchange(ExchangeError::Head(error)));
    let unsent = match h2_within(lease, request()?, body, limits).await {
        Ok(response) => return Ok(Received::Response(Box::new(response))),
        Err(unsent) => unsent,
    };
    let again =
        unsent.unprocessed || repeatable && matches!(unsent.error, ExchangeError::Broken(_));
    let (true, Some(body)) = (again, unsent.body) else {
        return Err(SendError::Exchange(unsent.error));
    };
    let lease = match way(endpoint, limits).await {
        Ok(Way::H2(lease)) => lease,
        Ok(Way::H1(_)) => return Err(SendError::Exchange(unsent.error)),
        Err(error) => return Err(error.unsent(body)),
    };
    let sent = h2_within(lease, request()?, body, limits).await;
    sent.map(|response| Received::Response(Box::new(response)))
        .map_err(|unsent| SendError::Exchange(unsent.error))
}

/// One exchange of HTTP/2 whose answer's head is waited for, but not for ever.
async fn h2_within(lease: Lease, head: Request<()>, body: Body, limits: Limits) -> h2::Sent {
    let exchange = h2::exchange(lease, head, body);
    match limits.first_byte {
        None => exchange.await,
        Some(limit) => Box::pin(timeout(limit, exchange)).await.unwrap_or_else(|_elapsed| {
            Err(h2::Unsent {
                error: ExchangeError::FirstByte(limit),
                body: None,
                unprocessed: false,
            })
        }),
    }
}

/// How an endpoint is reached once there is a connection.
enum Way {
    H1(Box<Wire>),
    H2(Lease),
}

/// A place on a connection of HTTP/2, or a new connection of HTTP/1 if that is what the endpoint
/// chooses.
async fn way(endpoint: &Endpoint, limits: Limits) -> Result<Way, SendError> {
    let deadline = Instant::now() + limits.connect;
    let leading = loop {
        if let Some(lease) = h2::take(endpoint.id) {
            return Ok(Way::H2(lease));
        }
        // Who expects a connection of their own has no reason to wait.
        if endpoint.prefers_h1() {
            break None;
        }
        match h2::lead(endpoint.id) {
            Lead::Yours(leading) => break Some(leading),
            Lead::Theirs(attempt) => match timeout_at(deadline, attempt.succeeded()).await {
                Ok(true) => {}
                // Each learns by itself why.
                Ok(false) => break None,
                Err(_elapsed) => {
                    let error = ConnectError::Timeout(None, limits.connect);
                    return Err(SendError::Connect(error, None));
                }
            },
        }
    };
    let wire = connect(endpoint, Offer::Http, limits.connect).await;
    let wire = wire.map_err(|error| SendError::Connect(error, None))?;
    let is_h2 = wire.is_h2() || endpoint.speaks() == Speaks::Http2;
    endpoint.has_chosen(is_h2);
    let way = if is_h2 {
        let opened = h2::open(wire).await.map_err(SendError::Exchange)?;
        Way::H2(h2::put(endpoint.id, opened))
    } else {
        Way::H1(Box::new(wire))
    };
    if let Some(leading) = leading {
        leading.succeed();
    }
    Ok(way)
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
