//! Real or mock: what a service's mode makes of a request.

use super::{Answer, Answered, Call, real};
use crate::proxy::Proxy;
use crate::replay::Spare;
use crate::service::Service;
use crate::stats::Source;
use http::Request;
use std::sync::Arc;
use stitch_config::model::{Mode, Timeouts};
use stitch_net::{Body, MockService, Offered, Outcome};

/// Answers a request that a declared service was meant to answer.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    timeout: Timeouts,
    call: &mut Call,
) -> Answered {
    match (service.mode(), &service.mock) {
        (Mode::Mock, Some(mock)) => {
            let request = std::mem::take(&mut call.request);
            Ok(mock_or_explain(&**mock, request).await)
        }
        (Mode::MockThenReal, Some(mock)) => {
            let request = std::mem::take(&mut call.request);
            match outcome(mock.offer(request)).await {
                Outcome::Answer(response) => Ok(Answer::by_mock(response)),
                Outcome::Miss { request, .. } => {
                    call.request = *request;
                    real::answer(proxy, service, timeout, call).await
                }
            }
        }
        (Mode::RealThenMock, Some(mock)) => {
            Box::pin(real_then_mock(proxy, service, &**mock, timeout, call)).await
        }
        _ => real::answer(proxy, service, timeout, call).await,
    }
}

/// Waits only where there is something to wait for.
async fn outcome(offered: Offered) -> Outcome {
    match offered {
        Offered::Now(outcome) => outcome,
        Offered::Later(later) => later.await,
    }
}

/// The mock's answer, or its account of what is near.
pub(super) async fn mock_or_explain(mock: &dyn MockService, request: Request<Body>) -> Answer {
    match outcome(mock.offer(request)).await {
        Outcome::Answer(response) => Answer::by_mock(response),
        Outcome::Miss { request, explain } => {
            let answer = Answer::by_mock(explain(&request));
            Answer { source: Source::Stitch, ..answer }
        }
    }
}

/// The real service; its mock when real cannot be reached or says one of `mock_on`, provided that
/// an endpoint matches and the body can be replayed.
async fn real_then_mock(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    mock: &dyn MockService,
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
    let Some(again) = spare.take() else { return real };
    match mock.offer(again).outcome().await {
        Outcome::Answer(response) => {
            // Real's unread answer and its connection go.
            call.holds = crate::body::Holds::default();
            Ok(Answer::by_mock(response))
        }
        Outcome::Miss { .. } => real,
    }
}
