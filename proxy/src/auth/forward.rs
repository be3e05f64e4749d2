//! Another service decides: it is told about the request, and its 2xx lets it in.

use super::admit::{Cause, Facts, Identity, Method, Refusal};
use super::outgoing::{CallError, Caller};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use std::time::Duration;
use stitch_config::model::ForwardAuth;
use stitch_net::Body;

/// How much of an answer is passed on.
const MOST: usize = 64 << 10;

/// Headers about a body, or about an answer that is not the checker's: it gets none of them.
const NOT_TOLD: [HeaderName; 16] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    TRANSFER_ENCODING,
    TE,
    TRAILER,
    UPGRADE,
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    HeaderName::from_static("forwarded"),
];

/// Who is asked, and how.
#[derive(Debug)]
pub(super) struct Checker {
    pub caller: Caller,
    path: Uri,
    limit: Duration,
    told: Option<Vec<HeaderName>>,
    /// Headers that it may set.
    pub taken: Vec<HeaderName>,
}

impl Checker {
    pub fn of(forward: &ForwardAuth, caller: Caller) -> Self {
        Self {
            caller,
            // The loader has checked it.
            path: forward.path.parse().unwrap_or_default(),
            limit: forward.timeout,
            told: forward.request_headers.clone(),
            taken: forward.response_headers.clone(),
        }
    }

    /// What the checker is told about a request.
    pub fn question(&self, request: &Request<Body>, facts: &Facts<'_>) -> HeaderMap {
        let all = request.headers();
        let mut headers = match &self.told {
            None => {
                let mut headers = all.clone();
                super::place::remove(&mut headers, &NOT_TOLD);
                let claims = |name: &&HeaderName| self.is_claim(name);
                let claimed: Vec<_> = headers.keys().filter(claims).cloned().collect();
                super::place::remove(&mut headers, &claimed);
                headers
            }
            Some(told) => {
                let mut headers = HeaderMap::with_capacity(told.len() + 5);
                for name in told.iter().filter(|name| !NOT_TOLD.contains(name)) {
                    for value in all.get_all(name) {
                        headers.append(name, value.clone());
                    }
                }
                headers
            }
        };
        let mut tell = |name: &'static str, value: Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let target = facts.uri.path_and_query().map_or("/", |target| target.as_str());
        let client = facts.client.map(|client| client.to_canonical().to_string());
        tell("x-forwarded-method", HeaderValue::from_str(request.method().as_str()).ok());
        tell(
            "x-forwarded-proto",
            Some(HeaderValue::from_static(if facts.secure { "https" } else { "http" })),
        );
        tell("x-forwarded-host", facts.host.cloned());
        tell("x-forwarded-uri", HeaderValue::from_str(target).ok());
        tell("x-forwarded-for", client.and_then(|client| HeaderValue::try_from(client).ok()));
        headers
    }

    /// What clients may claim, and only we or the checker know.
    fn is_claim(&self, name: &HeaderName) -> bool {
        let shown = *name == AUTHORIZATION || *name == COOKIE;
        name.as_str().starts_with("x-forwarded-")
            || name.as_str().starts_with("x-stitch-")
            || !shown && self.taken.contains(name)
    }

    /// Asks. Whatever goes wrong is a no.
    pub async fn ask(&self, question: HeaderMap) -> Result<Identity, Box<Refusal>> {
        match self.caller.get(&self.path, question, self.limit, MOST).await {
            Ok(answer) if answer.status().is_success() => Ok(self.identity(answer.headers())),
            Ok(answer) if answer.status().as_u16() < 500 => Err(passed_on(answer)),
            Ok(answer) => Err(self.unavailable(&format!("the answer is {}", answer.status()))),
            Err(error @ CallError::TooLarge(_)) => {
                Err(self.unavailable(&format!("{error}, which is the most that is passed on")))
            }
            Err(error) => Err(self.unavailable(&error.to_string())),
        }
    }

    fn identity(&self, answer: &HeaderMap) -> Identity {
        let named = self.taken.iter().flat_map(|name| {
            answer.get_all(name).iter().map(|value| (name.clone(), value.clone()))
        });
        Identity { who: None, headers: named.collect(), method: Method::Forward }
    }

    fn unavailable(&self, why: &str) -> Box<Refusal> {
        tracing::warn!(checker = %self.caller, why, "Who may come in could not be found out");
        Refusal::new(Method::Forward, Cause::Unavailable)
    }
}

/// The checker's own answer: a login page, a redirect to one, a refusal in its own words.
fn passed_on(answer: Response<Bytes>) -> Box<Refusal> {
    let status = answer.status();
    let mut refusal = Refusal::new(Method::Forward, Cause::Denied);
    refusal.status = status;
    if status.is_informational() {
        // Nothing that a client could make sense of.
        refusal.status = StatusCode::SERVICE_UNAVAILABLE;
        refusal.cause = Cause::Unavailable;
        refusal.detail = Cause::Unavailable.words().into();
        return refusal;
    }
    refusal.answer = Some(answer.map(Body::from));
    refusal
}
