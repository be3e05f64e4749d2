//! A request whose service, or route, has policies: read [`answer`] for their order.

use super::leaving::Leaving;
use super::tries::Tries;
use super::{Answer, Answered, Call};
use crate::auth::{Checked, Facts, Refusal};
use crate::edge::Negotiation;
use crate::edit::{self, BodyEditor, Respond};
use crate::limit::rate::Who;
use crate::plan::{Governing, Plan};
use crate::proxy::Proxy;
use crate::replay::Replay;
use crate::rescue::Failure;
use crate::service::Service;
use http::Response;
use http_body::Body as _;
use std::sync::Arc;
use stitch_config::model::Mode;
use stitch_config::pattern::PathPattern;
use stitch_net::reason::{REASON, SOURCE};
use stitch_net::{Body, Flow, Offered};
use tokio::time::{Instant, timeout_at};

/// Everything between a request's way being decided and its answer leaving. What few requests need
/// to wait for is boxed, so that the others do not carry its state. `pattern` is the path of
/// the route that claimed it.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    plan: &Arc<Plan>,
    pattern: Option<&PathPattern>,
    call: &mut Call,
) -> Answered {
    let governing = plan.governing.as_deref().unwrap_or(&Governing::NONE);
    let mut waited = false;
    call.record.plan = Some(plan.clone());
    // A browser's question shows no credentials, and what it is told has to be read.
    if let Some(answer) = preflight(governing, call) {
        return Ok(answer);
    }
    if governing.auth.is_some() {
        Box::pin(authenticate(governing, service, call)).await?;
        waited = true;
    }
    limit_rate(governing, call)?;
    waited |= enter(governing, call).await?;
    waited |= edit_request(governing, pattern, call).await;
    mirror(proxy, governing, call);
    let replay = keep_body(service, governing, call);
    // Where nothing was waited for, the request's arrival is as good as now.
    let began = if waited { Instant::now() } else { call.record.started() };
    let tries = Tries::of(proxy, service, plan, governing, pattern, call, began);
    // What most answers do not need changes them in place: each move of one is paid for.
    let mut answered = tries.run(replay.as_ref(), call).await;
    if let Err(failure) = &answered {
        call.record.failed(failure);
    }
    tell_bulkhead(&answered, began, call);
    if service.mode() == Mode::RealThenMock {
        answered = Box::pin(second_best(service, replay, answered, call)).await;
    }
    if let Some(edits) = &governing.edits {
        if let Some(fallback) = &edits.fallback {
            fall_back(fallback, &mut answered, call);
        }
        if let (Some(editor), Ok(answer)) = (&edits.bodies.response, &mut answered) {
            Box::pin(edit_response(editor, answer)).await;
        }
    }
    answered
}

/// Answers a browser's question; what answers to other origins need is put on them as they leave.
fn preflight(governing: &Governing, call: &mut Call) -> Option<Answer> {
    let compresses = governing.compression && call.upgrade.is_none();
    if governing.cors.is_none() && !compresses {
        return None;
    }
    let mut leaving = Leaving::default();
    if compresses {
        leaving.negotiation = Negotiation::of(&call.request);
    }
    if let Some(cors) = &governing.cors {
        if let Some(response) = cors.preflight(&call.request) {
            let reason = response.extensions().get().copied();
            return Some(Answer { reason, ..Answer::by_stitch(response) });
        }
        leaving.granted = Some(cors.origin(call.request.headers()));
    }
    call.leaving = Some(Box::new(leaving));
    None
}

/// Who may come in. Requests that events cause, and copies for mirrors, come from inside.
async fn authenticate(
    governing: &Governing,
    service: &Service,
    call: &mut Call,
) -> Result<(), Box<Failure>> {
    let (Some(auth), Some(peer)) = (&governing.auth, &call.peer) else { return Ok(()) };
    // What is stripped of the request stands in its uri, too.
    let uri = call.asked_for.as_deref().unwrap_or(call.request.uri()).clone();
    let facts = Facts {
        client: Some(peer.remote.ip()),
        secure: peer.secure,
        host: call.host.as_ref(),
        uri: &uri,
        stats: &service.state.auth,
    };
    let admitted = match auth.check(&mut call.request, &facts) {
        Checked::In(who) => {
            call.record.user = who;
            return Ok(());
        }
        Checked::Refused(refusal) => Err(refusal),
        Checked::Later(later) => later.await,
    };
    match admitted {
        Ok(admitted) => {
            call.record.user = admitted.apply(&mut call.request);
            Ok(())
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

fn refused(refusal: Box<Refusal>) -> Box<Failure> {
    Box::new(Failure::Unauthenticated(refusal))
}

fn limit_rate(governing: &Governing, call: &Call) -> Result<(), Box<Failure>> {
    let Some(rates) = &governing.rates else { return Ok(()) };
    let who = Who {
        ip: call.peer.as_ref().map(|peer| peer.remote.ip()),
        headers: call.request.headers(),
        caller: call.record.caller.as_deref(),
    };
    rates
        .check(&who, call.record.started())
        .map_err(|refused| Box::new(Failure::RateLimited(refused)))
}

/// Takes a place in the bulkhead, which is given back when the answer's body has ended. Says whether
/// it had to be waited for.
async fn enter(governing: &Governing, call: &mut Call) -> Result<bool, Box<Failure>> {
    let Some(bulkhead) = &governing.bulkhead else { return Ok(false) };
    let (place, waited) = match bulkhead.try_enter() {
        Some(place) => (place, false),
        None => {
            let entering = Box::pin(bulkhead.enter());
            let entered = match call.deadline {
                None => entering.await,
                Some(deadline) => match timeout_at(deadline.at(), entering).await {
                    Ok(entered) => entered,
                    Err(_elapsed) => {
                        let limit = deadline.limit();
                        return Err(Failure::Deadline { endpoint: None, limit }.into());
                    }
                },
            };
            (entered.map_err(|overloaded| Box::new(Failure::Overloaded(overloaded)))?, true)
        }
    };
    call.place = Some(place);
    Ok(waited)
}

/// An adaptive limit follows how long answers take.
fn tell_bulkhead(answered: &Answered, since: Instant, call: &Call) {
    let Some(place) = &call.place else { return };
    let failed = match answered {
        Ok(answer) => answer.response.status().is_server_error(),
        Err(_) => true,
    };
    place.answered(|| since.elapsed(), failed);
}

/// Says whether its body had to be waited for.
async fn edit_request(
    governing: &Governing,
    pattern: Option<&PathPattern>,
    call: &mut Call,
) -> bool {
    let Some(edits) = &governing.edits else { return false };
    let facts = edit::Facts {
        pattern,
        uri: call.asked_for.as_deref().unwrap_or(call.request.uri()),
        headers: call.request.headers(),
        request_id: &call.request_id,
        client: call.peer.as_ref().map(|peer| peer.remote.ip()),
    };
    let response = edits.headers.response.as_ref().map(|editor| editor.fill(&facts));
    let request = edits.headers.request.as_ref().map(|editor| (editor, editor.fill(&facts)));
    if let Some((editor, filled)) = request {
        editor.apply(filled, call.request.headers_mut());
    }
    call.filled = response;
    edits.bodies.ask(call.request.headers_mut());
    if let Some(editor) = &edits.bodies.request {
        let body = std::mem::take(call.request.body_mut());
        let body = Box::pin(editor.apply(body, call.request.headers_mut())).await;
        *call.request.body_mut() = body;
        return true;
    }
    false
}

fn mirror(proxy: &Arc<Proxy>, governing: &Governing, call: &mut Call) {
    let Some(mirror) = governing.mirror.as_ref().filter(|_| call.upgrade.is_none()) else { return };
    let flow: Arc<dyn Flow> = proxy.own_flow();
    call.record.mirrored = mirror.tee(&mut call.request, &flow, fastrand::f64());
}

/// Keeps the body while it is first sent, where it may be sent again.
fn keep_body(service: &Service, governing: &Governing, call: &mut Call) -> Option<Replay> {
    let again = governing.retries.is_some() || service.mode() == Mode::RealThenMock;
    again.then(|| Replay::of(std::mem::take(call.request.body_mut())))
}

/// The mock in place of the real service, where the mode says so and real was not there or said one
/// of `mock_on`.
async fn second_best(
    service: &Service,
    replay: Option<Replay>,
    answered: Answered,
    call: &mut Call,
) -> Answered {
    let Some(mock) = &service.mock else { return answered };
    let wanted = match &answered {
        Ok(answer) => service.declared.mock_on.contains(&answer.response.status().as_u16()),
        Err(failure) => failure.lets_mock_answer(),
    };
    let Some(body) = replay.filter(|_| wanted).and_then(|replay| replay.body()) else {
        return answered;
    };
    *call.request.body_mut() = body;
    let response = match mock.offer(&mut call.request) {
        Offered::Now(response) => response,
        Offered::Later(later) => later.await,
        Offered::Miss(_) => return answered,
    };
    // Real's unread answer and its connection go.
    call.in_flight = None;
    Ok(in_place_of(&answered, response))
}

/// Says why somebody else answers.
fn in_place_of(answered: &Answered, mut response: Response<Body>) -> Answer {
    let why = answered.as_ref().err().map(|failure| failure.reason());
    if let Some(why) = why {
        response.headers_mut().insert(REASON, why.header());
    }
    let answer = Answer::by_mock(response);
    Answer { reason: answer.reason.or(why), ..answer }
}

/// The answer that the file has for when the service gives none.
fn fall_back(fallback: &Respond, answered: &mut Answered, call: &Call) {
    let Err(failure) = answered else { return };
    if !failure.is_the_services() {
        return;
    }
    let reason = failure.reason();
    let mut response = fallback.answer(call.request.method());
    response.headers_mut().insert(REASON, reason.header());
    response.headers_mut().insert(SOURCE, http::HeaderValue::from_static("fallback"));
    *answered = Ok(Answer { reason: Some(reason), ..Answer::by_stitch(response) });
}

async fn edit_response(editor: &BodyEditor, answer: &mut Answer) {
    let response = &mut answer.response;
    if response.body().is_end_stream() {
        return;
    }
    let body = std::mem::take(response.body_mut());
    let body = editor.apply(body, response.headers_mut()).await;
    *response.body_mut() = body;
}
