//! An answer on its way back.

use super::Answered;
use crate::rescue::Failure;
use crate::stats::Source;
use http::header::{HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use stitch_config::pattern::{PathPattern, PathTemplate};
use stitch_net::{Body, Reason};

/// An answer and where it came from.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Boxed: it is large, and goes through many hands.
    pub response: Box<Response<Body>>,
    pub source: Source,
    pub reason: Option<Reason>,
}

impl Answer {
    /// Made by the proxy itself.
    pub fn by_stitch(response: impl Into<Box<Response<Body>>>) -> Self {
        Self { response: response.into(), source: Source::Stitch, reason: None }
    }

    /// Made by a mock; its reason, if it has one, is among its extensions.
    pub fn by_mock(response: impl Into<Box<Response<Body>>>) -> Self {
        let response = response.into();
        let reason = response.extensions().get().copied();
        Self { response, source: Source::Mock, reason }
    }
}

/// The answer of a `redirect:` route. A query travels along.
pub(super) fn redirect(
    request: &Request<Body>,
    pattern: &PathPattern,
    to: &PathTemplate,
    status: u16,
) -> Answered {
    let path = request.uri().path();
    let captures = pattern.captures(path).unwrap_or_default();
    let mut location = to.render(pattern, path, &captures);
    if location.starts_with('/') {
        // What begins with two slashes (browsers take `\\` for one) is another host, which the
        // caller's path must not be able to name.
        location = format!("/{}", location.trim_start_matches(['/', '\\']));
    }
    if let Some(query) = request.uri().query() {
        location.push(if location.contains('?') { '&' } else { '?' });
        location.push_str(query);
    }
    let location = HeaderValue::try_from(location).map_err(|_| Failure::BadRequest {
        why: "the path cannot be redirected".to_owned(),
        hint: "it holds characters that a Location header cannot carry",
    })?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(LOCATION, location);
    Ok(Answer::by_stitch(response))
}
