//! One request, top to bottom. Read [`run`] as the specification: each step is one call.

mod answer;
mod arrival;
mod connect;
mod real;
mod service;

pub(crate) use answer::Answer;
pub(crate) use arrival::Call;

use crate::body::Outgoing;
use crate::proxy::Proxy;
use crate::record::Record;
use crate::rescue::Failure;
use crate::route::{Decision, Role, Routed, decide};
use crate::snapshot::{RouteTarget, Snapshot};
use http::{Method, Request, Response};
use std::sync::Arc;
use stitch_config::model::RouteAction;
use stitch_net::{Body, Peer};

/// Answers a request that came to a listener.
pub(crate) async fn run(
    proxy: &Arc<Proxy>,
    role: &Role,
    mut request: Request<Body>,
    peer: Arc<Peer>,
) -> Response<Outgoing> {
    let snapshot = proxy.snapshot();
    let mut record =
        Record::begin(proxy.log.clone(), request.method(), request.uri(), Some(peer.remote));
    let mut call = Call::arrive(&snapshot, &mut request, Some(peer), &mut record);
    let answer = match guard(proxy, &snapshot, &mut request) {
        Err(failure) => Err(failure),
        Ok(()) => dispatch(proxy, &snapshot, role, request, &mut call, &mut record).await,
    };
    depart(answer, &call, record)
}

/// Answers a request that an event caused. It goes to the service directly, as if from a trusted peer.
pub(crate) async fn call(
    proxy: &Arc<Proxy>,
    name: &str,
    mut request: Request<Body>,
) -> Response<Outgoing> {
    let snapshot = proxy.snapshot();
    let mut record = Record::begin(proxy.log.clone(), request.method(), request.uri(), None);
    let mut call = Call::arrive(&snapshot, &mut request, None, &mut record);
    let answer = match snapshot.service(name) {
        Some(service) => {
            record.meant_for(&service.declared.name, &service.state);
            let timeout = service.declared.timeout;
            service::answer(proxy, service, timeout, request, &mut call).await
        }
        None => Err(Failure::Gone(name.to_owned())),
    };
    depart(answer, &call, record)
}

/// What is refused before anybody is asked: loops and bodies that say they are too large.
fn guard(proxy: &Proxy, snapshot: &Snapshot, request: &mut Request<Body>) -> Result<(), Failure> {
    if proxy.via.is_in(request.headers()) {
        return Err(Failure::Loop);
    }
    if let Some(most) = snapshot.limits.body {
        use http_body::Body as _;
        if request.body().size_hint().lower() > most {
            return Err(Failure::TooLarge(most));
        }
        if !request.body().is_end_stream() {
            let bytes = usize::try_from(most).unwrap_or(usize::MAX);
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = Body::boxed(http_body_util::Limited::new(body, bytes));
        }
    }
    Ok(())
}

/// Hands the request to whoever gets it.
async fn dispatch(
    proxy: &Arc<Proxy>,
    snapshot: &Arc<Snapshot>,
    role: &Role,
    request: Request<Body>,
    call: &mut Call,
    record: &mut Record,
) -> Result<Answer, Failure> {
    let Some(decision) = decide(snapshot, role, &request) else {
        let Role::Service(name) = role else { unreachable!("only service ports can be orphaned") };
        return Err(Failure::Gone(name.to_string()));
    };
    if request.method() == Method::CONNECT {
        return connect::answer(proxy, snapshot, decision, request, call).await;
    }
    match decision {
        Decision::Service(service) => {
            record.meant_for(&service.declared.name, &service.state);
            let timeout = service.declared.timeout;
            service::answer(proxy, service, timeout, request, call).await
        }
        Decision::Route(routed) => route(proxy, routed, request, call, record).await,
        Decision::Forward => {
            record.meant_for(&proxy.nobody_name, &proxy.nobody);
            real::forward(proxy, snapshot, request, call).await
        }
        Decision::Fallthrough => {
            record.meant_for(&proxy.nobody_name, &proxy.nobody);
            let mocks = snapshot.everything.0.clone();
            Ok(service::mock_or_explain(&*mocks, request).await)
        }
    }
}

/// Follows a route.
async fn route(
    proxy: &Arc<Proxy>,
    routed: &Arc<Routed<RouteTarget>>,
    mut request: Request<Body>,
    call: &mut Call,
    record: &mut Record,
) -> Result<Answer, Failure> {
    let route = &routed.route;
    match (&routed.target, &route.action) {
        (RouteTarget::Services(sum, targets), RouteAction::Services { rewrite, .. }) => {
            let mut left = fastrand::u64(..*sum);
            let picked = targets.iter().find(|(weight, _)| match left.checked_sub(*weight) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            });
            let (_, service) = picked.or(targets.first()).ok_or(Failure::NoEndpoint)?;
            record.meant_for(&service.declared.name, &service.state);
            if let Some(rewrite) = rewrite {
                arrival::rewrite_path(&mut request, &route.matches.path, rewrite)?;
            }
            let mut timeout = service.declared.timeout;
            timeout.connect = route.connect_timeout.unwrap_or(timeout.connect);
            timeout.request = route.request_timeout.or(timeout.request);
            service::answer(proxy, service, timeout, request, call).await
        }
        (RouteTarget::Redirect, RouteAction::Redirect { to, status }) => {
            record.meant_for(&proxy.nobody_name, &proxy.nobody);
            answer::redirect(&request, &route.matches.path, to, *status)
        }
        _ => {
            record.meant_for(&proxy.nobody_name, &proxy.nobody);
            let response = (proxy.builtin)(request).await;
            Ok(Answer::by_stitch(response))
        }
    }
}

/// Writes what the caller is told besides, and closes the record when the body has ended.
fn depart(answer: Result<Answer, Failure>, call: &Call, mut record: Record) -> Response<Outgoing> {
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            tracing::debug!(?failure, "Request failed");
            let response = failure.respond(record.service(), &call.accept());
            Answer { reason: Some(failure.reason()), ..Answer::by_stitch(response) }
        }
    };
    call.mark(&mut answer.response);
    record.source = answer.source;
    record.reason = answer.reason;
    record.endpoint = answer.endpoint;
    record.answered(answer.response.status().as_u16());
    let holds = answer.holds;
    answer.response.map(|body| Outgoing::new(body, holds, record))
}
