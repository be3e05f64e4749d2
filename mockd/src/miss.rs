//! Answers for requests that no endpoint takes: what was asked, and what is near.

use crate::endpoint::EndpointMock;
use crate::nearest::{Near, nearest};
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response};
use serde_json::Value;
use std::sync::Arc;
use stitch_net::{Body, Problem, Reason};

/// How much of a path a message repeats.
const SHOWN_PATH: usize = 200;

/// The methods of the endpoints whose path matches, for `Allow`. Empty when none does.
pub(crate) fn allowed<'a>(
    endpoints: impl Iterator<Item = &'a Arc<EndpointMock>>,
    path: &str,
) -> Vec<Method> {
    let mut allowed: Vec<Method> = Vec::new();
    for endpoint in endpoints.filter(|endpoint| endpoint.model.path.matches(path)) {
        for method in endpoint.allowed() {
            if !allowed.contains(&method) {
                allowed.push(method);
            }
        }
    }
    if !allowed.is_empty() && !allowed.contains(&Method::OPTIONS) {
        allowed.push(Method::OPTIONS);
    }
    allowed
}

/// `GET, HEAD, OPTIONS`.
pub(crate) fn allow_header(methods: &[Method]) -> HeaderValue {
    let text = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    // Methods are tokens, so this cannot fail.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// The explaining answer: 405 when only the method is wrong, else 404.
pub(crate) fn explain(
    service: Option<&str>,
    endpoints: &[Arc<EndpointMock>],
    request: &Request<Body>,
) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    let allowed = allowed(endpoints.iter(), path);
    let near = nearest(endpoints.iter(), method, path);
    let shown: String = path.chars().take(SHOWN_PATH).collect();
    let mut problem = match (service, allowed.is_empty()) {
        (Some(service), true) => Problem::new(
            Reason::NoEndpoint,
            format!("no endpoint of {service} answers {method} {shown}"),
        ),
        (None, true) => {
            Problem::new(Reason::NoService, format!("no service answers {method} {shown}"))
        }
        (_, false) => Problem::new(
            Reason::MethodNotAllowed,
            format!("{shown} is declared, but not for {method}"),
        ),
    };
    if let Some(service) = service {
        problem = problem.with("service", service);
    }
    let hint = hint(&near, method);
    let near: Vec<Value> = near.iter().filter_map(|near| serde_json::to_value(near).ok()).collect();
    let mut response = problem.with("nearest", near).hint(hint).respond(request.headers());
    if !allowed.is_empty() {
        response.headers_mut().insert(ALLOW, allow_header(&allowed));
    }
    response
}

fn hint(near: &[Near], method: &Method) -> String {
    match near.first() {
        None => "declare endpoints: under the service".to_owned(),
        Some(nearest) => match nearest.differs.as_slice() {
            [only] => format!("{} differs only in {only}", nearest.endpoint),
            _ => format!(
                "declare the path and method {method} under endpoints:, or call one that is near"
            ),
        },
    }
}
