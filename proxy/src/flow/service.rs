//! Real or mock: what a service's mode makes of a request.

use super::{Answer, Call, real};
use crate::proxy::Proxy;
use crate::replay::Spare;
use crate::rescue::Failure;
use crate::service::Service;
use http::Request;
use std::sync::Arc;
use stitch_config::model::{Mode, Timeouts};
use stitch_net::{Body, MockService, Outcome};

/// Answers a request that a declared service was meant to answer.
pub(super) async fn answer(
    proxy: &Arc<Proxy>,
    service: &Arc<Service>,
    timeout: Timeouts,
    request: Request<Body>,
    call: &mut Call,
) -> Result<Answer, Failure> {
    match (service.mode(), &service.mock) {
        (Mode::Mock, Some(mock)) => Ok(mock_or_explain(&**mock, request).await),
        (Mode::MockThenReal, Some(mock)) => match mock.offer(request).outcome().await {
            Outcome::Answer(response) => Ok(Answer::by_mock(response)),
            Outcome::Miss { request, .. } => {
                real::answer(proxy, service, timeout, *request, call).await
            }
        },
        (Mode::RealThenMock, Some(mock)) => {
            real_then_mock(proxy, service, &**mock, timeout, request, call).await
        }
        _ => real::answer(proxy, service, timeout, request, call).await,
    }
}

/// The mock's answer, or its account of what is near.
pub(super) async fn mock_or_explain(mock: &dyn MockService, request: Request<Body>) -> Answer {
    match mock.offer(request).outcome().await {
        Outcome::Answer(response) => Answer::by_mock(response),
        Outcome::Miss { request, explain } => {
            let answer = Answer::by_mock(explain(&request));
            Answer { source: crate::stats::Source::Stitch, ..answer }
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
    request: Request<Body>,
    call: &mut Call,
) -> Result<Answer, Failure> {
    let (request, spare) = Spare::of(request);
    let real = real::answer(proxy, service, timeout, request, call).await;
    let mock_may_answer = match &real {
        Ok(answer) => service.declared.mock_on.contains(&answer.response.status().as_u16()),
        Err(failure) => failure.is_connect(),
    };
    if !mock_may_answer {
        return real;
    }
    let Some(again) = spare.take() else { return real };
    match mock.offer(again).outcome().await {
        Outcome::Answer(response) => Ok(Answer::by_mock(response)),
        Outcome::Miss { .. } => real,
    }
}
