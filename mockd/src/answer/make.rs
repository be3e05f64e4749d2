//! Responses in an endpoint's name.

use crate::endpoint::{AnswerBody, EndpointMock};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use stitch_net::reason::{ENDPOINT, SOURCE};
use stitch_net::{Body, Problem};

/// An error answer in the endpoint's name.
pub(super) fn troubled(
    endpoint: &EndpointMock,
    problem: &Problem,
    request: &HeaderMap,
) -> Response<Body> {
    let problem =
        problem.clone().with("service", &*endpoint.service).with("endpoint", &*endpoint.model.id);
    let mut response = problem.respond(request);
    for name in [SOURCE, ENDPOINT] {
        if let Some(value) = endpoint.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The answer that was made at load.
pub(super) fn finished(endpoint: &EndpointMock, method: &Method) -> Response<Body> {
    let AnswerBody::Bytes(bytes) = &endpoint.body else {
        // `is_static` implies bytes; an empty answer is the harmless reading of anything else.
        return Response::default();
    };
    answer(endpoint, endpoint.headers.clone(), bytes.clone(), *method == Method::HEAD)
}

pub(super) fn answer(
    endpoint: &EndpointMock,
    mut headers: HeaderMap,
    bytes: Bytes,
    is_head: bool,
) -> Response<Body> {
    let body = if is_head {
        promise_length(endpoint, &mut headers, bytes.len() as u64);
        Body::Empty
    } else {
        bytes.into()
    };
    let mut response = Response::new(body);
    *response.status_mut() = endpoint.status;
    *response.headers_mut() = headers;
    response
}

/// Says how long the body would be, where there may be one.
pub(super) fn promise_length(endpoint: &EndpointMock, headers: &mut HeaderMap, length: u64) {
    if !matches!(endpoint.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
