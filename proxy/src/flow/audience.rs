//! Who wants to know how an attempt ended: its breaker, and the set that its endpoint is one of.

use crate::breakers::Permit;
use crate::policy::breaker::Verdict;
use crate::policy::{Fault, Outcome};
use crate::upstream::{Endpoint, EndpointSet};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use stitch_net::grpc::GRPC_STATUS;
use stitch_net::{Body, BoxError};
use tokio::time::Instant;

/// Listeners for the end of one attempt. Dropped, it ends without a verdict: the client went.
pub(super) struct Audience<'a> {
    pub permit: Option<Permit>,
    /// Only where an endpoint's record matters.
    pub endpoint: Option<(&'a Arc<EndpointSet>, &'a Arc<Endpoint>)>,
    pub began: Instant,
}

impl Audience<'_> {
    /// Tells how the attempt ended.
    pub fn tell(self, outcome: Outcome, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        let verdict = outcome.verdict();
        if let Some(permit) = self.permit {
            permit.settle(verdict, took, now);
        }
        // That we could not send says nothing about an endpoint; any answer but a failure is good.
        if let Some((set, endpoint)) =
            self.endpoint.filter(|_| outcome != Outcome::Failed(Fault::Ours))
        {
            set.observe(endpoint, took, verdict == Verdict::Failure, now);
        }
    }

    /// Tells it now, or when the answer's trailers have come where they hold the verdict.
    pub fn tell_in_time(self, outcome: Outcome, response: &mut Response<Body>, now: Instant) {
        // What is here whole has no trailers to come.
        let waits = !matches!(response.body(), Body::Empty | Body::Full(_))
            && outcome == Outcome::Status(200)
            && is_grpc(response.headers());
        if !waits {
            return self.tell(outcome, now);
        }
        let body = std::mem::take(response.body_mut());
        let audience = Patient {
            permit: self.permit,
            endpoint: self.endpoint.map(|(set, endpoint)| (set.clone(), endpoint.clone())),
            began: self.began,
        };
        *response.body_mut() = Body::boxed(Awaiting { body, audience: Some(audience) });
    }
}

/// An audience that stays until the body has ended.
struct Patient {
    permit: Option<Permit>,
    endpoint: Option<(Arc<EndpointSet>, Arc<Endpoint>)>,
    began: Instant,
}

/// Whether there will be trailers. gRPC-Web, as a service may speak it itself, has them in its body.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let format = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    format.is_some_and(|format| matches!(format.first(), None | Some(b'+' | b';')))
}

/// The status that a gRPC call ended with, as headers or trailers tell it.
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// The body of a gRPC answer whose verdict stands in its trailers.
struct Awaiting {
    body: Body,
    audience: Option<Patient>,
}

impl Awaiting {
    fn tell(&mut self, outcome: Outcome) {
        if let Some(Patient { permit, endpoint, began }) = self.audience.take() {
            let endpoint = endpoint.as_ref().map(|(set, endpoint)| (set, endpoint));
            Audience { permit, endpoint, began }.tell(outcome, Instant::now());
        }
    }
}

impl HttpBody for Awaiting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    // A call without a status has failed (gRPC over HTTP/2).
                    self.tell(Outcome::Grpc(grpc_status(trailers).unwrap_or(2)));
                } else if self.body.is_end_stream() {
                    // Nobody need ask for more.
                    self.tell(Outcome::Grpc(2));
                }
            }
            Poll::Ready(Some(Err(_))) => self.tell(Outcome::Failed(Fault::Reset)),
            Poll::Ready(None) => self.tell(Outcome::Grpc(2)),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breakers::Breaker;
    use http_body_util::{BodyExt as _, StreamBody};
    use stitch_config::model;

    /// A breaker that opens at the first failure, and an answer of a call that it let through.
    fn answered(end: Result<HeaderMap, BoxError>) -> (Arc<Breaker>, Response<Body>) {
        let settings = model::Breaker { consecutive: Some(1), ..model::Breaker::default() };
        let now = Instant::now();
        let breaker = Breaker::new("a".into(), "a".into(), &settings, now, Arc::default());
        let audience = Audience { permit: breaker.admit(now).ok(), endpoint: None, began: now };
        let frames = [Ok(Frame::data(Bytes::from_static(b"m"))), end.map(Frame::trailers)];
        let body = Body::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        let mut response = Response::new(body);
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, grpc);
        audience.tell_in_time(Outcome::Status(200), &mut response, now);
        (breaker, response)
    }

    fn trailers(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(GRPC_STATUS, http::HeaderValue::from_static(status))])
    }

    #[tokio::test]
    async fn the_verdict_of_a_grpc_call_is_in_its_trailers() {
        for (end, state) in [
            (Ok(trailers("0")), "closed"),
            (Ok(trailers("5")), "closed"),
            (Ok(trailers("14")), "open"),
            (Ok(HeaderMap::new()), "open"),
            (Err("reset".into()), "open"),
        ] {
            let name = format!("{end:?}");
            let (breaker, response) = answered(end);
            assert_eq!(breaker.state().as_str(), "closed", "nothing is known yet");
            let _ = response.into_body().collect().await;
            assert_eq!(breaker.state().as_str(), state, "{name}");
        }
    }

    #[test]
    fn only_grpc_has_trailers_to_wait_for() {
        for (content_type, waits) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web-text+proto", false),
            ("application/json", false),
        ] {
            let value = HeaderValue::from_static(content_type);
            assert_eq!(is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, value)])), waits);
        }
    }

    #[tokio::test]
    async fn a_grpc_call_that_ends_without_trailers_has_failed_whether_or_not_somebody_asks_for_more()
     {
        let (breaker, response) = answered(Ok(trailers("0")));
        let content_type = response.headers()[CONTENT_TYPE].clone();
        drop(response);
        let audience = Audience {
            permit: breaker.admit(Instant::now()).ok(),
            endpoint: None,
            began: Instant::now(),
        };
        let mut whole = Response::new(Body::boxed(http_body_util::Full::new(Bytes::from("m"))));
        whole.headers_mut().insert(CONTENT_TYPE, content_type);
        audience.tell_in_time(Outcome::Status(200), &mut whole, Instant::now());
        let mut body = whole.into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(body.is_end_stream());
        assert_eq!(breaker.state().as_str(), "open");
    }

    #[tokio::test]
    async fn a_call_that_its_client_gives_up_has_no_verdict() {
        let (breaker, response) = answered(Ok(trailers("14")));
        drop(response);
        assert_eq!(breaker.state().as_str(), "closed");
    }
}
