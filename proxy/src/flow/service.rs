//! Real or mock: what a service's mode makes of a request.

use super::{Answer, Answered, Call, Step, real};
use crate::proxy::Proxy;
use crate::replay::Spare;
use crate::service::Service;
use crate::stats::Source;
use std::sync::Arc;
use stitch_config::model::{Mode, Timeouts};
use stitch_net::mock::{Explain, take_request};
use stitch_net::{MockService, Offered};

/// A request meets the service that was meant to answer it.
pub(super) fn meet(service: &Arc<Service>, timeout: Timeouts, call: &mut Call) -> Step {
    call.record.meant_for(&service.state);
    if let Some(peer) = &call.peer {
        peer.connection.wait_at_most(timeout.idle);
    }
    let real = || Step::Real(service.clone(), timeout);
    match (service.mode(), &service.mock) {
        (Mode::Mock, Some(mock)) => offer(&**mock, call),
        (Mode::MockThenReal, Some(mock)) => offered(&**mock, call).unwrap_or_else(|_| real()),
        (Mode::RealThenMock, Some(_)) => Step::RealThenMock(service.clone(), timeout),
        _ => real(),
    }
}

/// Offers the request to a mock that has the last word.
pub(super) fn offer(mock: &dyn MockService, call: &mut Call) -> Step {
    offered(mock, call).unwrap_or_else(|explain| {
        // The mock's account of what is near.
        let explained = Answer::by_mock(explain(&call.request));
        Step::Done(Answer { source: Source::Stitch, ..explained })
    })
}

/// Offers the request to a mock; the error explains why it has no answer.
fn offered(mock: &dyn MockService, call: &mut Call) -> Result<Step, Explain> {
    match mock.offer(&mut call.request) {
        Offered::Now(response) => Ok(Step::Done(Answer::by_mock(response))),
        Offered::Later(later) => Ok(Step::Mock(later)),
        Offered::Miss(explain) => Err(explain),
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
    let (request, spare) = Spare::of(take_request(&mut call.request));
    call.request = request;
    let real = real::answer(proxy, service, timeout, call).await;
    let mock_may_answer = match &real {
        Ok(answer) => service.declared.mock_on.contains(&answer.response.status().as_u16()),
        Err(failure) => failure.is_connect(),
    };
    if !mock_may_answer {
        return real;
    }
    let (Some(mut again), Some(mock)) = (spare.take(), &service.mock) else { return real };
    let response = match mock.offer(&mut again) {
        Offered::Now(response) => response,
        Offered::Later(later) => later.await,
        Offered::Miss(_) => return real,
    };
    // Real's unread answer and its connection go.
    call.in_flight = None;
    Ok(Answer::by_mock(response))
}
