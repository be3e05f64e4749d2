//! One request and its answer on one of several streams of a connection.

use super::pool::Lease;
use super::receiving::{Receiving, Sender};
use super::sending::Sending;
use crate::upstream::ExchangeError;
use h2::Reason;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::Body as _;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use stitch_net::Body;

/// What an exchange comes to.
pub(in crate::upstream) type Sent = Result<Response<Body>, Unsent>;

/// An exchange without an answer.
#[derive(Debug)]
pub(in crate::upstream) struct Unsent {
    pub error: ExchangeError,
    /// The request's body, when it is small enough to have been kept.
    pub body: Option<Body>,
    /// The endpoint has surely not acted upon the request (RFC 9113 §8.7).
    pub unprocessed: bool,
}

/// Sends a request and waits for the head of its answer. Both go on at once, because an answer may
/// come before the request is whole, as it does in two-way streams.
///
/// # Errors
/// See [`Unsent`]. Dropping the future cancels the exchange.
pub(in crate::upstream) async fn exchange(lease: Lease, mut head: Request<()>, body: Body) -> Sent {
    let (send, mut place) = lease.into_parts();
    let mut send = match send.ready().await {
        Ok(send) => send,
        Err(error) => return Err(Unsent::new(error, Some(body), true)),
    };
    let bodiless = body.is_end_stream();
    // The end of a stream says it too, but too late for who has to know the size beforehand.
    if let Some(length @ 1..) = body.size_hint().exact() {
        head.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    let (mut answer, stream) = match send.send_request(head, bodiless) {
        Ok(begun) => begun,
        Err(error) => return Err(Unsent::new(error, Some(body), true)),
    };
    // Only what is said below keeps the connection open.
    drop(send);
    let mut sending = (!bodiless).then(|| Sending::new(stream, body));
    let mut over = false;
    let answered = poll_fn(|cx| {
        if let Some(body) = sending.as_mut().filter(|_| !over) {
            match body.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(error @ ExchangeError::Body(_))) => return Poll::Ready(Err(error)),
                // An endpoint that wants no more of a request may well have answered it.
                Poll::Ready(Ok(()) | Err(_)) => over = true,
            }
        }
        Pin::new(&mut answer).poll(cx).map_err(Into::into)
    })
    .await;
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            let unprocessed = error.is_unprocessed();
            let body =
                if bodiless { Some(Body::Empty) } else { sending.and_then(Sending::into_body) };
            return Err(Unsent { error, body, unprocessed });
        }
    };
    let sender = sending.filter(|_| !over).map(|mut sending| {
        sending.keep_nothing();
        let task = tokio::spawn(async move {
            if let Err(error) = poll_fn(|cx| sending.poll(cx)).await {
                tracing::debug!(%error, "The rest of a request was not sent");
            }
        });
        Sender(task.abort_handle())
    });
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(response.map(|stream| {
        if stream.is_end_stream() {
            place.finish();
            return Body::Empty;
        }
        Body::boxed(Receiving::new(stream, length, sender, place))
    }))
}

impl Unsent {
    fn new(error: h2::Error, body: Option<Body>, unprocessed: bool) -> Self {
        Self { error: error.into(), body, unprocessed }
    }
}

impl ExchangeError {
    /// Whether the endpoint said that it has not acted upon the request.
    pub(crate) fn is_unprocessed(&self) -> bool {
        matches!(self, Self::Stream(error) if error.is_go_away() && error.is_remote()
            || error.reason() == Some(Reason::REFUSED_STREAM))
    }
}
