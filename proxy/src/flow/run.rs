//! One request, top to bottom. Read [`run`] as the specification: each step is one call.
//!
//! What belongs to the request travels in one [`Call`] on the heap, and rare branches are boxed:
//! a future is copied whole when it is started, so its size is paid for by every request.

use super::{Answer, Call, answer, arrival, connect, real, service};
use crate::body::Outgoing;
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::route::{Decision, Role, Routed, decide};
use crate::snapshot::{RouteTarget, Snapshot};
use http::{Method, Response};
use std::sync::Arc;
use stitch_config::model::{RouteAction, Timeouts};

/// What a step comes to. Failures are boxed because they are rare and large.
pub(super) type Answered = Result<Answer, Box<Failure>>;

/// Answers a request that came to a listener.
pub(crate) async fn run(
    proxy: &Arc<Proxy>,
    snapshot: &Arc<Snapshot>,
    role: &Role,
    mut call: Box<Call>,
) -> Response<Outgoing> {
    let answered = match guard(proxy, snapshot, &mut call) {
        Err(failure) => Err(failure),
        Ok(()) => dispatch(proxy, snapshot, role, &mut call).await,
    };
    depart(answered, call)
}

/// Answers a request that an event caused. It goes to the service directly, as if from a trusted peer.
pub(crate) async fn call(
    proxy: &Arc<Proxy>,
    snapshot: &Arc<Snapshot>,
    name: &str,
    mut call: Box<Call>,
) -> Response<Outgoing> {
    let answered = match snapshot.service(name) {
        Some(service) => {
            call.record.meant_for(&service.declared.name, &service.state);
            service::answer(proxy, service, service.declared.timeout, &mut call).await
        }
        None => Err(Failure::Gone(name.to_owned()).into()),
    };
    depart(answered, call)
}

/// What is refused before anybody is asked: loops and bodies that say they are too large.
fn guard(proxy: &Proxy, snapshot: &Snapshot, call: &mut Call) -> Result<(), Box<Failure>> {
    if call.seen_via && proxy.via.is_in(call.request.headers()) {
        return Err(Failure::Loop.into());
    }
    if let Some(most) = snapshot.limits.body {
        call.limit_body(most)?;
    }
    Ok(())
}

/// Hands the request to whoever gets it.
async fn dispatch(
    proxy: &Arc<Proxy>,
    snapshot: &Arc<Snapshot>,
    role: &Role,
    call: &mut Call,
) -> Answered {
    let decision = decide(snapshot, role, &call.request).map_err(Failure::Gone)?;
    if *call.request.method() == Method::CONNECT {
        return Box::pin(connect::answer(proxy, snapshot, decision, call)).await;
    }
    match decision {
        Decision::Service(service) => {
            call.record.meant_for(&service.declared.name, &service.state);
            service::answer(proxy, service, service.declared.timeout, call).await
        }
        Decision::Route(routed) => route(proxy, routed, call).await,
        Decision::Forward => {
            call.record.meant_for(&proxy.nobody_name, &proxy.nobody);
            Box::pin(real::forward(proxy, snapshot, call)).await
        }
        Decision::Fallthrough => {
            call.record.meant_for(&proxy.nobody_name, &proxy.nobody);
            let request = std::mem::take(&mut call.request);
            Ok(service::mock_or_explain(&*snapshot.everything.0, request).await)
        }
    }
}

/// Follows a route.
async fn route(proxy: &Arc<Proxy>, routed: &Arc<Routed<RouteTarget>>, call: &mut Call) -> Answered {
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
            call.record.meant_for(&service.declared.name, &service.state);
            if let Some(rewrite) = rewrite {
                arrival::rewrite_path(&mut call.request, &route.matches.path, rewrite)?;
            }
            let own = service.declared.timeout;
            let timeout = Timeouts {
                connect: route.connect_timeout.unwrap_or(own.connect),
                request: route.request_timeout.or(own.request),
            };
            service::answer(proxy, service, timeout, call).await
        }
        (RouteTarget::Redirect, RouteAction::Redirect { to, status }) => {
            call.record.meant_for(&proxy.nobody_name, &proxy.nobody);
            answer::redirect(&call.request, &route.matches.path, to, *status)
        }
        _ => {
            call.record.meant_for(&proxy.nobody_name, &proxy.nobody);
            let request = std::mem::take(&mut call.request);
            Ok(Answer::by_stitch((proxy.builtin)(request).await))
        }
    }
}

/// Writes what the caller is told besides; the call lives on until the answer's body has ended.
fn depart(answered: Answered, mut call: Box<Call>) -> Response<Outgoing> {
    let mut answer = match answered {
        Ok(answer) => answer,
        Err(failure) => {
            tracing::debug!(?failure, "Request failed");
            let response = failure.respond(call.record.service(), call.request.headers());
            Answer { reason: Some(failure.reason()), ..Answer::by_stitch(response) }
        }
    };
    call.mark(&mut answer.response);
    call.record.answered(answer.response.status().as_u16(), answer.source, answer.reason);
    answer.response.map(|body| Outgoing::new(body, call))
}
