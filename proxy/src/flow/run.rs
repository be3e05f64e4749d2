//! The straight line of one request. Read [`begin`] as the specification: each step is one call.
//!
//! Whatever can be decided without waiting is decided at once: most mocks answer here, and no future
//! is made for them. What has to wait goes on in [`carry_out`], on the heap, because hyper moves a
//! handler's future about and its size would be paid for by every request.

use super::{Answer, Call, Ongoing, Step, Wait, answer, arrival, connect, govern, real, service};
use crate::body::Outgoing;
use crate::cookies::set_cookie;
use crate::edge::asked_method;
use crate::plan::Plan;
use crate::proxy::Proxy;
use crate::rescue::Failure;
use crate::route::{Decision, Role, Routed, decide, draw, stay};
use crate::service::Service;
use crate::snapshot::{RouteTarget, Snapshot, Target};
use http::{Method, Response};
use std::sync::Arc;
use stitch_config::model::{RouteAction, Timeouts};
use stitch_net::Body;
use stitch_net::mock::{BoxFuture, take_request};
use stitch_net::reason::SERVICE;

/// Bodies up to this many bytes leave with one write, and are counted when they are handed over.
const AS_GOOD_AS_SENT: usize = 16 * 1024;

/// What a step comes to. Failures are boxed because they are rare and large.
pub(super) type Answered = Result<Answer, Box<Failure>>;

/// A request that has begun.
pub(crate) enum Begun {
    /// And is answered.
    Answered(Response<Outgoing>),
    /// And has to wait for something.
    Waiting(BoxFuture<Response<Outgoing>>),
}

/// Begins a request that came to a listener.
pub(crate) fn begin(snapshot: &Arc<Snapshot>, role: &Role, mut ongoing: Box<Ongoing>) -> Begun {
    let Ongoing { call, proxy } = &mut *ongoing;
    let step =
        guard(proxy, snapshot, role, call).and_then(|()| next_step(proxy, snapshot, role, call));
    go_on(snapshot, step, ongoing)
}

/// Begins a request that an event caused. It goes to the service directly, as if from a trusted peer.
pub(crate) fn begin_for(snapshot: &Arc<Snapshot>, name: &str, mut ongoing: Box<Ongoing>) -> Begun {
    let step = match snapshot.service(name) {
        Some(service) => Ok(service::meet(service, &service.plan, None, &mut ongoing.call)),
        None => Err(Failure::Gone(name.to_owned()).into()),
    };
    go_on(snapshot, step, ongoing)
}

fn go_on(
    snapshot: &Arc<Snapshot>,
    step: Result<Step, Box<Failure>>,
    mut ongoing: Box<Ongoing>,
) -> Begun {
    let answered = match step {
        Err(failure) => Err(failure),
        Ok(Step::Done(answer)) => Ok(answer),
        Ok(Step::Governed(service, plan, route)) => {
            return Begun::Waiting(govern(ongoing, service, plan, route));
        }
        Ok(Step::Real(service, timeouts)) => {
            return Begun::Waiting(ask(ongoing, service, timeouts));
        }
        Ok(Step::Wait(wait)) => return Begun::Waiting(attend(ongoing, snapshot.clone(), wait)),
    };
    attribute(snapshot, &answered, &mut ongoing);
    Begun::Answered(leave(answered, ongoing))
}

/// Each way has a future of its own, no larger than it has to be.
fn govern(
    mut ongoing: Box<Ongoing>,
    service: Arc<Service>,
    plan: Arc<Plan>,
    route: Option<Arc<Routed<RouteTarget>>>,
) -> BoxFuture<Response<Outgoing>> {
    in_place(|| async move {
        let Ongoing { call, proxy } = &mut *ongoing;
        let pattern = route.as_ref().map(|routed| &routed.route.matches.path);
        let answered = govern::answer(proxy, &service, &plan, pattern, call).await;
        leave(answered, ongoing)
    })
}

fn ask(
    mut ongoing: Box<Ongoing>,
    service: Arc<Service>,
    timeouts: Timeouts,
) -> BoxFuture<Response<Outgoing>> {
    in_place(|| async move {
        let Ongoing { call, proxy } = &mut *ongoing;
        let answered = real::answer(proxy, &service, &timeouts, call).await;
        leave(answered, ongoing)
    })
}

fn attend(
    mut ongoing: Box<Ongoing>,
    snapshot: Arc<Snapshot>,
    wait: Wait,
) -> BoxFuture<Response<Outgoing>> {
    in_place(|| async move {
        let Ongoing { call, proxy } = &mut *ongoing;
        let answered = carry_out(proxy, &snapshot, wait, call).await;
        attribute(&snapshot, &answered, &mut ongoing);
        leave(answered, ongoing)
    })
}

/// Makes a future on the heap. `Box::pin` makes it on the stack and copies all of it, though nearly
/// all is room for later.
#[inline(always)]
fn in_place<F>(make: impl FnOnce() -> F) -> BoxFuture<Response<Outgoing>>
where
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    let place = Box::<F>::new_uninit();
    Box::<F>::into_pin(Box::write(place, make()))
}

fn leave(answered: Answered, mut ongoing: Box<Ongoing>) -> Response<Outgoing> {
    let response = depart(answered, &mut ongoing.call);
    match whole(response.body()) {
        Some(bytes) => {
            ongoing.sent(bytes);
            response.map(Outgoing::settled)
        }
        None => response.map(|body| Outgoing::new(body, ongoing)),
    }
}

/// The length of a body that is as good as sent: here whole, and small enough for a socket's buffer.
fn whole(body: &Body) -> Option<u64> {
    match body {
        Body::Empty => Some(0),
        Body::Full(bytes) if bytes.len() <= AS_GOOD_AS_SENT => Some(bytes.len() as u64),
        _ => None,
    }
}

/// What is refused before anybody is asked: loops and bodies that say they are too large.
fn guard(
    proxy: &Proxy,
    snapshot: &Snapshot,
    role: &Role,
    call: &mut Call,
) -> Result<(), Box<Failure>> {
    // A client with HTTP_PROXY reaches a service's own port by way of the shared one.
    let fine = usize::from(matches!(role, Role::Service(_)));
    if call.seen_via && proxy.via.times_in(call.request.headers()) > fine {
        return Err(Failure::Loop.into());
    }
    if let Some(most) = snapshot.limits.body {
        call.limit_body(most)?;
    }
    Ok(())
}

/// Decides who gets the request, and asks mocks that answer at once.
fn next_step(
    proxy: &Proxy,
    snapshot: &Snapshot,
    role: &Role,
    call: &mut Call,
) -> Result<Step, Box<Failure>> {
    let decision = decide_for(snapshot, role, call).map_err(Failure::Gone)?;
    if *call.request.method() == Method::CONNECT {
        let target = connect::Target::of(decision, snapshot, call.host.as_ref());
        return Ok(Step::Wait(Wait::Connect(target)));
    }
    match decision {
        Decision::Service(service) => Ok(service::meet(service, &service.plan, None, call)),
        Decision::Route(routed) => route(proxy, routed, call),
        Decision::Forward => {
            call.record.meant_for(&proxy.nobody);
            Ok(Step::Wait(Wait::Forward))
        }
        Decision::Fallthrough => match governed_mock(snapshot, call) {
            Some(service) => Ok(service::meet(service, &service.plan, None, call)),
            None => Ok(service::offer(&*snapshot.everything.0, call)),
        },
    }
}

/// Decides who gets a request. A browser's question goes where what it is about would go.
fn decide_for<'s>(
    snapshot: &'s Snapshot,
    role: &Role,
    call: &mut Call,
) -> Result<Decision<'s>, String> {
    let about = if snapshot.answers_browsers { asked_method(&call.request) } else { None };
    let Some(about) = about else {
        return decide(snapshot, role, &call.request, call.host.as_ref());
    };
    let asked = std::mem::replace(call.request.method_mut(), about);
    let decision = decide(snapshot, role, &call.request, call.host.as_ref());
    *call.request.method_mut() = asked;
    decision
}

/// The service whose mock has the path of a request that nothing else claims, if it has policies.
fn governed_mock<'s>(snapshot: &'s Snapshot, call: &Call) -> Option<&'s Arc<Service>> {
    let asked = asked_method(&call.request);
    let method = asked.as_ref().unwrap_or(call.request.method());
    snapshot.governed_mock(method, call.request.uri().path())
}

/// Follows a route.
fn route(
    proxy: &Proxy,
    routed: &Arc<Routed<RouteTarget>>,
    call: &mut Call,
) -> Result<Step, Box<Failure>> {
    let route = &routed.route;
    match (&routed.target, &route.action) {
        (RouteTarget::Services(sum, targets), RouteAction::Services { rewrite, sticky, .. }) => {
            let stays = sticky.as_ref().and_then(|cookie| {
                let is_called =
                    |target: &Target, name: &str| *target.service.declared.name == *name;
                stay(call.request.headers(), cookie, targets, |target| target.weight, is_called)
            });
            let below = |below| fastrand::u64(..below);
            let drawn = || draw(*sum, targets, |target| target.weight, below);
            let target = stays.or_else(drawn).ok_or(Failure::NoEndpoint)?;
            if let Some(cookie) = sticky.as_ref().filter(|_| stays.is_none()) {
                call.set_cookies.extend(set_cookie(cookie, &target.service.declared.name));
            }
            if let Some(rewrite) = rewrite {
                arrival::rewrite_path(call, &route.matches.path, rewrite)?;
            }
            Ok(service::meet(&target.service, &target.plan, Some(routed), call))
        }
        (RouteTarget::Redirect, RouteAction::Redirect { to, status }) => {
            call.record.meant_for(&proxy.nobody);
            answer::redirect(&call.request, &route.matches.path, to, *status).map(Step::Done)
        }
        (RouteTarget::Respond(respond), _) => {
            call.record.meant_for(&proxy.nobody);
            Ok(Step::Done(Answer::by_stitch(respond.answer(call.request.method()))))
        }
        _ => {
            call.record.meant_for(&proxy.nobody);
            Ok(Step::Wait(Wait::Builtin))
        }
    }
}

/// Counts an answer that was found by path alone for the service whose mock gave it.
fn attribute(snapshot: &Snapshot, answered: &Answered, ongoing: &mut Ongoing) {
    let Ongoing { call, proxy } = ongoing;
    let Ok(answer) = answered else { return };
    if call.record.is_meant_for_someone() {
        return;
    }
    let name = answer.response.headers().get(SERVICE).and_then(|name| name.to_str().ok());
    match name.and_then(|name| snapshot.service(name)) {
        Some(service) => call.record.meant_for(&service.state),
        None => call.record.meant_for(&proxy.nobody),
    }
}

/// Does what has to wait.
async fn carry_out(
    proxy: &Arc<Proxy>,
    snapshot: &Arc<Snapshot>,
    wait: Wait,
    call: &mut Call,
) -> Answered {
    match wait {
        Wait::Mock(later) => Ok(Answer::by_mock(later.await)),
        Wait::Forward => Box::pin(real::forward(proxy, snapshot, call)).await,
        Wait::Connect(target) => Box::pin(connect::answer(proxy, snapshot, target, call)).await,
        Wait::Builtin => {
            let request = take_request(&mut call.request);
            Ok(Answer::by_stitch((proxy.builtin)(request).await))
        }
    }
}

/// Writes what the caller is told besides.
fn depart(answered: Answered, call: &mut Call) -> Response<Body> {
    let mut answer = match answered.and_then(|answer| call.agreed(answer)) {
        Ok(answer) => answer,
        Err(failure) => {
            tracing::debug!(?failure, "Request failed");
            let reason = Some(failure.reason());
            call.record.failed(&failure);
            let response = failure.respond(call.record.service(), call.request.headers());
            Answer { reason, ..Answer::by_stitch(response) }
        }
    };
    call.edit(answer.response.headers_mut());
    if let Some(leaving) = call.leaving.take() {
        leaving.apply(&mut answer.response);
    }
    call.mark(&mut answer.response);
    call.record.answered(answer.response.status().as_u16(), answer.source, answer.reason);
    *answer.response
}
