//! Real or mock: what a service's mode makes of a request.

use super::{Answer, Answered, Call, Step, real};
use crate::body::Holds;
use crate::proxy::Proxy;
use crate::replay::Spare;
use crate::service::Service;
use crate::stats::Source;
use http::Request;
use std::sync::Arc;
use stitch_config::model::{Mode, Timeouts};
use stitch_net::mock::{BoxFuture, Explain};
use stitch_net::{Body, MockService, Offered, Outcome};

/// A request meets the service that was meant to answer it.
pub(super) fn meet(service: &Arc<Service>, timeout: Timeouts, call: &mut Call) -> Step {
    call.record.meant_for(&service.declared.name, &service.state);
    match (service.mode(), &service.mock) {
        (Mode::Mock, Some(mock)) => offer(&**mock, None, call),
        (Mode::MockThenReal, Some(mock)) => offer(&**mock, Some((service, timeout)), call),
        (Mode::RealThenMock, Some(_)) => Step::RealThenMock(service.clone(), timeout),
        _ => Step::Real(service.clone(), timeout),
    }
}

/// Offers the request to a mock; a miss goes to the real service, if one is named.
pub(super) fn offer(
    mock: &dyn MockService,
    then: Option<(&Arc<Service>, Timeouts)>,
    call: &mut Call,
) -> Step {
    let then = then.map(|(service, timeout)| (service.clone(), timeout));
    match (mock.offer(std::mem::take(&mut call.request)), then) {
        (Offered::Now(Outcome::Answer(response)), _) => Step::Done(Answer::by_mock(response)),
        (Offered::Now(Outcome::Miss { request, explain }), None) => {
            Step::Done(explained(&request, explain))
        }
        (Offered::Now(Outcome::Miss { request, .. }), Some((service, timeout))) => {
            call.request = *request;
            Step::Real(service, timeout)
        }
        (Offered::Later(later), then) => Step::Mock(later, then),
    }
}

/// The mock's account of what is near.
fn explained(request: &Request<Body>, explain: Explain) -> Answer {
    Answer { source: Source::Stitch, ..Answer::by_mock(explain(request)) }
}

/// A mock that takes its time.
pub(super) async fn wait_for_mock(
    proxy: &Arc<Proxy>,
    later: BoxFuture<Outcome>,
    then: Option<(Arc<Service>, Timeouts)>,
    call: &mut Call,
) -> Answered {
    match (later.await, then) {
        (Outcome::Answer(response), _) => Ok(Answer::by_mock(response)),
        (Outcome::Miss { request, explain }, None) => Ok(explained(&request, explain)),
        (Outcome::Miss { request, .. }, Some((service, timeout))) => {
            call.request = *request;
            real::answer(proxy, &service, timeout, call).await
        }
    }
}

/// The real service; its mock when real cannot be reached or says one of `mock_on`, provided that
/// an endpoint matches and the body can be replayed.
pub(super) async fn real_then_mock(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    timeout: Timeouts,
    call: &mut Call,
) -> Answered {
    let (request, spare) = Spare::of(std::mem::take(&mut call.request));
    call.request = request;
    let real = real::answer(proxy, service, timeout, call).await;
    let mock_may_answer = match &real {
        Ok(answer) => service.declared.mock_on.contains(&answer.response.status().as_u16()),
        Err(failure) => failure.is_connect(),
    };
    if !mock_may_answer {
        return real;
    }
    let (Some(again), Some(mock)) = (spare.take(), &service.mock) else { return real };
    match mock.offer(again).outcome().await {
        Outcome::Answer(response) => {
            // Real's unread answer and its connection go.
            call.holds = Holds::default();
            Ok(Answer::by_mock(response))
        }
        Outcome::Miss { .. } => real,
    }
}
