//! What happens to a matched request: delay, declared failure, answer.
//!
//! An answer that was finished at load costs a clone of its headers and nothing else; the request
//! body is read only when a template asks for it.

use super::make::{finished, troubled};
use super::render::render;
use crate::endpoint::{AnswerBody, EndpointMock};
use crate::file::{self, FileBody};
use crate::shared::Shared;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::Failure;
use stitch_net::mock::take_request;
use stitch_net::{Body, Draw, Offered, Problem, Reason};

/// The largest request body that templates may read.
const MAX_REQUEST_BODY: usize = 1 << 20;

/// Answers a request from the endpoint that matched it.
pub(crate) fn respond(
    endpoint: &Arc<EndpointMock>,
    shared: &Arc<Shared>,
    request: &mut Request<Body>,
) -> Offered {
    let k = endpoint.counters.hit();
    let delay = delay(endpoint, shared, k);
    let failure = failure(endpoint, shared, k);
    if delay.is_none() {
        if let Some(failure) = failure {
            return Offered::Now(fail(endpoint, failure, request.headers()));
        }
        if endpoint.is_static {
            return Offered::Now(finished(endpoint, request.method()));
        }
        let waits = endpoint.needs_body && !request.body().is_end_stream()
            || matches!(endpoint.body, AnswerBody::File(_));
        if !waits {
            let (parts, _) = take_request(request).into_parts();
            return Offered::Now(render(endpoint, shared, k, parts, Bytes::new(), None));
        }
    }
    let (endpoint, shared, failure) = (endpoint.clone(), shared.clone(), failure.cloned());
    let request = take_request(request);
    Offered::Later(Box::pin(async move {
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        match failure {
            Some(failure) => fail(&endpoint, &failure, request.headers()),
            None if endpoint.is_static => finished(&endpoint, request.method()),
            None => read_and_render(&endpoint, &shared, k, request).await,
        }
    }))
}

fn delay(endpoint: &EndpointMock, shared: &Shared, k: u64) -> Option<Duration> {
    let range = endpoint.model.delay?;
    let draw = Draw::sequence(&endpoint.model.id, "delay", k);
    let delay = shared.draws.between(&draw, range.min, range.max);
    (!delay.is_zero()).then_some(delay)
}

/// One draw over all declared failures.
fn failure<'a>(endpoint: &'a EndpointMock, shared: &Shared, k: u64) -> Option<&'a Failure> {
    let failures = &endpoint.model.failures;
    if failures.is_empty() {
        return None;
    }
    let draw = Draw::sequence(&endpoint.model.id, "decide", k);
    let mut reached = 0.0;
    failures.iter().find(|failure| {
        reached += failure.share;
        shared.draws.happens(&draw, reached)
    })
}

fn fail(endpoint: &EndpointMock, failure: &Failure, request: &HeaderMap) -> Response<Body> {
    endpoint.counters.failed();
    let share = failure.share * 100.0;
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let problem = Problem::new(
        Reason::Fault,
        format!("{} fails {share}% of its calls on purpose", endpoint.model.id),
    );
    troubled(endpoint, &problem.status(status).hint("see failure_rate in the file"), request)
}

async fn read_and_render(
    endpoint: &EndpointMock,
    shared: &Shared,
    k: u64,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut read = Bytes::new();
    if endpoint.needs_body {
        read = match read_body(body).await {
            Ok(bytes) => bytes,
            Err(problem) => return troubled(endpoint, &problem, &parts.headers),
        };
    }
    let mut file = None;
    if let AnswerBody::File(FileBody::OnDisk(path)) = &endpoint.body {
        file = match file::stream(path).await {
            Ok(file) => Some(file),
            Err(error) => {
                let detail = format!("file {} cannot be read: {error}", path.display());
                let problem = Problem::new(Reason::TemplateError, detail);
                return troubled(endpoint, &problem, &parts.headers);
            }
        };
    }
    render(endpoint, shared, k, parts, read, file)
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, MAX_REQUEST_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            Reason::TooLarge,
            "the request body is larger than 1 MiB, and a template of this endpoint reads it",
        )),
        Err(error) => Err(Problem::new(
            Reason::BadRequest,
            format!("the request body could not be read: {error}"),
        )),
    }
}

/// Adds one header to an answer, now or later.
pub(crate) fn tagged(offered: Offered, name: HeaderName, value: HeaderValue) -> Offered {
    let tag = move |mut response: Response<Body>| {
        response.headers_mut().insert(name, value);
        response
    };
    match offered {
        Offered::Now(response) => Offered::Now(tag(response)),
        Offered::Later(later) => Offered::Later(Box::pin(async move { tag(later.await) })),
        Offered::Miss(explain) => Offered::Miss(explain),
    }
}
