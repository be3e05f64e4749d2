//! Real or mock: what a service's mode makes of a request.

use super::{Answer, Call, Step, Wait};
use crate::plan::Plan;
use crate::route::Routed;
use crate::service::Service;
use crate::snapshot::RouteTarget;
use crate::stats::Source;
use std::sync::Arc;
use stitch_config::model::Mode;
use stitch_net::mock::Explain;
use stitch_net::{MockService, Offered};

/// A request meets the service that was meant to answer it.
pub(super) fn meet(
    service: &Arc<Service>,
    plan: &Arc<Plan>,
    route: Option<&Arc<Routed<RouteTarget>>>,
    call: &mut Call,
) -> Step {
    call.record.meant_for(&service.state);
    if let Some(peer) = &call.peer {
        peer.connection.wait_at_most(plan.timeouts.idle);
    }
    let governed = || Step::Governed(service.clone(), plan.clone(), route.cloned());
    if plan.governing.is_some() {
        return governed();
    }
    let real = || Step::Real(service.clone(), plan.timeouts);
    match (service.mode(), &service.mock) {
        (Mode::Mock, Some(mock)) => offer(&**mock, call),
        (Mode::MockThenReal, Some(mock)) => offered(&**mock, call).unwrap_or_else(|_| real()),
        (Mode::RealThenMock, Some(_)) => governed(),
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
        Offered::Later(later) => Ok(Step::Wait(Wait::Mock(later))),
        Offered::Miss(explain) => Err(explain),
    }
}
