//! A request whose service, or route, has policies: read [`answer`] for their order.

use super::tries::Tries;
use super::{Answer, Answered, Call};
use crate::plan::{Governing, Plan};
use crate::proxy::Proxy;
use crate::replay::Replay;
use crate::service::Service;
use http::Response;
use std::sync::Arc;
use stitch_config::model::Mode;
use stitch_net::reason::REASON;
use stitch_net::{Body, Offered};

/// Everything between a request's way being decided and its answer leaving.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    plan: &Plan,
    call: &mut Call,
) -> Answered {
    let governing = plan.governing.as_deref().unwrap_or(&Governing::NONE);
    let replay = keep_body(service, governing, call);
    let tries = Tries::of(proxy, service, plan, governing, call);
    let answered = tries.run(replay.as_ref(), call).await;
    second_best(service, replay, answered, call).await
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
    let (Mode::RealThenMock, Some(mock)) = (service.mode(), &service.mock) else { return answered };
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
