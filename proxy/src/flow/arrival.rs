//! What is learnt about a request when it arrives, and the marks put on its answer.

use super::leaving::Leaving;
use super::{Answer, Answered};
use crate::access_log::AccessLog;
use crate::auth;
use crate::edit::Filled;
use crate::grpc::Deadline;
use crate::hygiene::{self, REQUEST_ID};
use crate::limit::bulkhead::Place;
use crate::proxy::Proxy;
use crate::record::{Circumstances, Record};
use crate::rescue::Failure;
use crate::snapshot::Snapshot;
use crate::upstream::InFlight;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{HeaderValue, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::Limited;
use hyper::upgrade::OnUpgrade;
use smallvec::SmallVec;
use std::sync::Arc;
use stitch_config::pattern::{PathPattern, PathTemplate};
use stitch_net::{Body, Peer};

/// One request and its surroundings, from arrival until the answer's body has ended.
#[derive(Debug)]
pub(crate) struct Call {
    /// The request; taken out when it is handed on.
    pub request: Request<Body>,
    /// What was asked for, when a route has changed it.
    pub asked_for: Option<Box<Uri>>,
    /// What is logged instead, when a credential stands in what was asked for.
    masked: Option<Box<Uri>>,
    /// `None` for requests that events cause.
    pub peer: Option<Arc<Peer>>,
    /// The host that was asked for.
    pub host: Option<HeaderValue>,
    /// What to switch to, and the client's side of it.
    pub upgrade: Option<Box<(HeaderValue, OnUpgrade)>>,
    pub request_id: HeaderValue,
    /// When a gRPC caller's patience ends.
    pub deadline: Option<Deadline>,
    /// Undeclared targets are passed through unmarked.
    pub unmarked: bool,
    /// Whether the request came through other proxies, perhaps us.
    pub seen_via: bool,
    /// Make the client stay with the service and the endpoint that it gets.
    pub set_cookies: SmallVec<[HeaderValue; 1]>,
    /// What goes into its answer's headers, if its plan edits those.
    pub filled: Option<Filled>,
    /// What else its policies want of its answer.
    pub leaving: Option<Box<Leaving>>,
    /// Its place in the bulkhead.
    pub place: Option<Place>,
    /// The request's place in its endpoint's load.
    pub in_flight: Option<InFlight>,
    pub record: Record,
}

impl Call {
    /// Cleans the request and remembers what later steps need.
    fn arrive(snapshot: &Snapshot, mut request: Request<Body>, peer: Option<Arc<Peer>>) -> Self {
        let remote = peer.as_ref().map(|peer| peer.remote);
        let mut record = Record::begin();
        let trusted = remote.is_none_or(|remote| snapshot.trusts(remote.ip()));
        let host = hygiene::requested_host(request.headers(), request.uri());
        let found = hygiene::clean_request(request.headers_mut(), trusted);
        let upgrade = found.upgrade.or_else(|| hygiene::extended_connect(&mut request));
        let upgrade = upgrade.map(|value| Box::new((value, hyper::upgrade::on(&mut request))));
        let deadline = if found.deadline { Deadline::of(request.headers()) } else { None };
        let masked = auth::masked(request.uri(), &snapshot.secret_queries).map(Box::new);
        let kept = found.request_id && trusted;
        let kept = kept.then(|| request.headers().get(REQUEST_ID).cloned()).flatten();
        let request_id = kept.unwrap_or_else(hygiene::new_request_id);
        record.caller = caller(found.proxy_authorization.as_ref(), peer.as_deref());
        Self {
            request,
            asked_for: None,
            masked,
            peer,
            host,
            upgrade,
            request_id,
            deadline,
            unmarked: false,
            seen_via: found.via,
            set_cookies: SmallVec::new(),
            filled: None,
            leaving: None,
            place: None,
            in_flight: None,
            record,
        }
    }

    /// Holds the body to `limits.body`: at once when its length is known, else while it is read.
    pub fn limit_body(&mut self, most: u64) -> Result<(), Failure> {
        let body = self.request.body_mut();
        if body.size_hint().lower() > most {
            return Err(Failure::TooLarge(most));
        }
        if !body.is_end_stream() {
            let bytes = usize::try_from(most).unwrap_or(usize::MAX);
            *body = Body::boxed(Limited::new(std::mem::take(body), bytes));
        }
        Ok(())
    }

    /// Lets an answer pass, unless a client would take it for consent to an upgrade that nobody has
    /// agreed to: over HTTP/2 every 2xx is (RFC 8441 §5).
    pub fn agreed(&self, answer: Answer) -> Answered {
        let status = answer.response.status();
        if self.upgrade.is_some()
            && self.request.version() == Version::HTTP_2
            && status.is_success()
        {
            return Err(Failure::NotSwitched(status.as_u16()).into());
        }
        Ok(answer)
    }

    /// Edits the headers of an answer as the plan says that the request met.
    pub fn edit(&mut self, headers: &mut HeaderMap) {
        let Some(filled) = self.filled.take() else { return };
        let governing = self.record.plan.as_ref().and_then(|plan| plan.governing.as_ref());
        let edits = governing.and_then(|governing| governing.edits.as_ref());
        if let Some(editor) = edits.and_then(|edits| edits.headers.response.as_ref()) {
            editor.apply(filled, headers);
        }
    }

    /// Puts the request id on an answer, and the cookie by which the client stays.
    pub fn mark(&self, response: &mut Response<Body>) {
        if !self.unmarked {
            response.headers_mut().insert(REQUEST_ID, self.request_id.clone());
        }
        // Nobody should stay with what is broken.
        let good = !response.status().is_server_error();
        for cookie in self.set_cookies.iter().filter(|_| good) {
            response.headers_mut().append(SET_COOKIE, cookie.clone());
        }
    }

    /// More of the answer's body was handed over.
    pub fn sent(&mut self, bytes: u64) {
        // What is handed over in answer to HEAD never leaves.
        if *self.request.method() != Method::HEAD {
            self.record.bytes += bytes;
        }
    }

    /// Counts and logs; to be called once.
    pub fn close(&mut self, log: &AccessLog) {
        let around = Circumstances {
            method: self.request.method(),
            uri: self
                .masked
                .as_ref()
                .or(self.asked_for.as_ref())
                .map_or(self.request.uri(), |it| it),
            peer: self.peer.as_ref().map(|peer| peer.remote),
            host: self.host.as_ref(),
            request_id: &self.request_id,
        };
        self.record.close(log, &around);
    }
}

/// A call that is closed when it is dropped, be it answered or given up. On the heap from its
/// beginning: it is large, and goes through many hands.
#[derive(Debug)]
pub(crate) struct Ongoing {
    pub call: Call,
    pub proxy: Arc<Proxy>,
}

impl Ongoing {
    /// A call that has just come in.
    pub fn arrive(
        proxy: &Arc<Proxy>,
        snapshot: &Snapshot,
        request: Request<Body>,
        peer: Option<Arc<Peer>>,
    ) -> Box<Self> {
        // Written where it stays, which `Box::new` does not do.
        let place = Box::new_uninit();
        let call = Call::arrive(snapshot, request, peer);
        Box::write(place, Self { call, proxy: proxy.clone() })
    }

    /// More of the answer's body was handed over.
    pub fn sent(&mut self, bytes: u64) {
        self.call.sent(bytes);
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.call.close(&self.proxy.log);
    }
}

/// Which service is calling, as far as the connection or the proxy user tell.
fn caller(proxy_authorization: Option<&HeaderValue>, peer: Option<&Peer>) -> Option<Arc<str>> {
    let peer = peer?;
    let listener = peer.caller.clone();
    listener.or_else(|| proxy_user(proxy_authorization?)).or_else(|| peer.tls_identity.clone())
}

/// The name in `http://NAME@proxy`: which service's program is calling.
fn proxy_user(value: &HeaderValue) -> Option<Arc<str>> {
    let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, _password) = decoded.split_once(':')?;
    (!user.is_empty()).then(|| user.into())
}

/// Gives a request the path that a route's `rewrite:` asks for; the query stays.
pub(super) fn rewrite_path(
    call: &mut Call,
    pattern: &PathPattern,
    template: &PathTemplate,
) -> Result<(), Failure> {
    let target = rewritten(call.request.uri(), pattern, template)?;
    let asked_for = std::mem::replace(call.request.uri_mut(), target);
    call.asked_for = Some(Box::new(asked_for));
    Ok(())
}

fn rewritten(uri: &Uri, pattern: &PathPattern, template: &PathTemplate) -> Result<Uri, Failure> {
    let path = uri.path();
    let captures = pattern.captures(path).unwrap_or_default();
    let mut target = template.render(pattern, path, &captures);
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    origin_form(target)
}

/// A request target without scheme and authority.
pub(super) fn origin_form(path_and_query: String) -> Result<Uri, Failure> {
    let parsed = PathAndQuery::try_from(path_and_query).map_err(|_| Failure::BadRequest {
        why: "the rewritten path is not a valid request target".to_owned(),
        hint: "check the route's rewrite and the url's path",
    })?;
    Ok(Uri::from(parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_user_names_the_caller() {
        let user = |text| proxy_user(&HeaderValue::from_static(text)).map(|user| user.to_string());
        assert_eq!(user("Basic d2ViOg=="), Some("web".into()));
        assert_eq!(user("Basic d2ViOnB3"), Some("web".into()));
        assert_eq!(user("Basic Og=="), None);
        assert_eq!(user("Basic !!"), None);
        assert_eq!(user("Bearer x"), None);
    }

    #[test]
    fn a_rewrite_keeps_the_query() {
        let pattern = PathPattern::parse("/api/users/**").unwrap();
        let template = PathTemplate::parse("/users/**", &pattern).unwrap();
        let uri = Uri::from_static("http://x/api/users/1?a=b");
        assert_eq!(rewritten(&uri, &pattern, &template).unwrap(), "/users/1?a=b");
    }
}
