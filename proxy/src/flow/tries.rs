//! A request is tried until it is answered well, or its policies say that this was enough.

use super::attempt::{Asked, Attempt, Host, Timers, Until};
use super::audience::Audience;
use super::tried::Tried;
use super::{Answer, Answered, Call, real};
use crate::breakers::Permit;
use crate::grpc::Web;
use crate::plan::{Governing, Plan, Retries};
use crate::policy::{Outcome, Retrying, backoff, is_worth_another, may_repeat, retry_after};
use crate::proxy::Proxy;
use crate::replay::Replay;
use crate::rescue::Failure;
use crate::service::Service;
use crate::stats::Source;
use crate::upstream::{Ask, Picked, Received};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response};
use http_body::Body as _;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};
use stitch_config::model::{HedgeAfter, Mode, Retry};
use stitch_config::pattern::PathPattern;
use stitch_net::reason::SOURCE;
use stitch_net::{Body, Offered};
use tokio::time::{Instant, sleep, timeout_at};

/// Longest `Retry-After` that is waited for when the request has no deadline.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request on its way through its tries.
pub(super) struct Tries<'a> {
    proxy: &'a Arc<Proxy>,
    service: &'a Arc<Service>,
    plan: &'a Plan,
    governing: &'a Governing,
    /// When the first of them begins.
    pub began: Instant,
    /// When all of it has to be over.
    whole: Option<Until>,
    bound: Bound,
}

/// What of a request keeps it on an endpoint.
#[derive(Default)]
struct Bound {
    key: Option<u64>,
    cookie: Option<String>,
}

impl Bound {
    fn of(service: &Service, pattern: Option<&PathPattern>, call: &Call) -> Self {
        let uri = call.asked_for.as_deref().unwrap_or(call.request.uri());
        let captures = pattern.and_then(|pattern| pattern.captures(uri.path()));
        let path = |name: &str| captures.as_ref()?.get(name).map(str::as_bytes);
        let client = call.peer.as_ref().map(|peer| peer.remote.ip());
        let (key, cookie) = service.endpoints.affinity(call.request.headers(), client, path);
        Self { key, cookie: cookie.map(str::to_owned) }
    }
}

/// What is known of the tries so far.
#[derive(Default)]
struct SoFar {
    /// Attempts one after another, of which a hedge is none.
    tries: u32,
    /// The number of the latest attempt, from 1; a hedge has one of its own.
    attempt: u32,
    /// Endpoints that have been tried.
    endpoints: SmallVec<[u64; 4]>,
    /// Whether nobody but the real service is left to ask.
    is_real: bool,
    /// What came from a browser, and leaves as gRPC.
    web: Option<Web>,
    /// The latest attempt's place in the budget, if it is a retry.
    budget: Option<Retrying>,
}

/// An attempt that is ready to be made.
struct Aimed {
    permit: Option<Permit>,
    picked: Picked,
    /// What the service is told of its number.
    number: Option<u32>,
    now: Instant,
}

/// Another attempt is worth its while.
struct Next {
    wait: Duration,
    budget: Retrying,
}

impl<'a> Tries<'a> {
    /// `began` is when whatever comes before the first of them was over.
    pub fn of(
        proxy: &'a Arc<Proxy>,
        service: &'a Arc<Service>,
        plan: &'a Plan,
        governing: &'a Governing,
        pattern: Option<&PathPattern>,
        call: &Call,
        began: Instant,
    ) -> Self {
        // Who may come in, and the queue of a bulkhead, have had their share of it.
        let whole = Until::of(&plan.timeouts, call, call.record.started());
        let bound = governing.binds.then(|| Bound::of(service, pattern, call));
        let bound = bound.unwrap_or_default();
        Self { proxy, service, plan, governing, began, whole, bound }
    }

    /// Tries until there is an answer to return, be it a bad one. `replay` holds the request's body
    /// where it may be needed again.
    ///
    /// All of it is one future, but for what few requests wait for, and an attempt is gone before
    /// the next one is waited for: what is kept while it waits costs every request.
    pub async fn run(&self, replay: Option<&Replay>, call: &mut Call) -> Answered {
        let _active = self.retries().map(|retries| retries.state.budget.begin());
        let mut so_far = SoFar::default();
        let mut now = self.began;
        loop {
            so_far.tries += 1;
            so_far.attempt += 1;
            let mut permit = match self.permit(now) {
                Ok(permit) => permit,
                Err(failure) => return given_up(failure, so_far.web, call),
            };
            call.record.attempts = so_far.attempt;
            let next = {
                let tried = 'tried: {
                    if self.service.mock.is_some()
                        && !so_far.is_real
                        && let Some(tried) =
                            Box::pin(self.mocked(replay, &mut permit, call, now)).await
                    {
                        break 'tried tried;
                    }
                    let mut body = self.body(replay, &mut so_far, call);
                    let hedge = self.hedge(&body, call);
                    let mut aimed = match self.aim(permit, &mut so_far, now) {
                        Ok(aimed) => aimed,
                        Err(failure) => return given_up(failure, so_far.web, call),
                    };
                    let asked = Asked::of(self.proxy, call);
                    if let Some(hedge) = hedge {
                        let tried = Box::pin(self.race(aimed, hedge, asked, &mut so_far)).await;
                        call.record.attempts = so_far.attempt;
                        break 'tried tried;
                    }
                    let attempt = self.attempt(asked, &aimed);
                    let result = attempt.make(&mut aimed.picked, &mut body).await;
                    self.ended(aimed, result)
                };
                // A retry that is over makes room for the next one.
                so_far.budget = None;
                let Some(next) = self.next(&tried, so_far.tries, replay, call) else {
                    return self.accept(tried, so_far.web, call);
                };
                tried.let_go();
                next
            };
            Box::pin(sleep(next.wait)).await;
            now = Instant::now();
            so_far.budget = Some(next.budget);
        }
    }

    fn retries(&self) -> Option<&'a Retries> {
        self.governing.retries.as_ref()
    }

    /// The answer, for the caller to have.
    fn accept(&self, tried: Tried, web: Option<Web>, call: &mut Call) -> Answered {
        if let Some(value) = tried.cookie() {
            call.set_cookies.extend(self.service.endpoints.set_cookie(value));
        }
        let source = tried.source();
        let mut answered = tried.accept(call);
        if web.is_some() || call.deadline.is_some() {
            answered = real::unbridge(web, answered, call);
        }
        let mut response = answered?;
        if source != Source::Real {
            return Ok(Answer { source, ..Answer::by_mock(response) });
        }
        response.headers_mut().insert(SOURCE, HeaderValue::from_static("real"));
        Ok(Answer { response, source, reason: None })
    }

    /// The breaker's leave to make an attempt.
    fn permit(&self, now: Instant) -> Result<Option<Permit>, Box<Failure>> {
        let Some(breaker) = &self.governing.breaker else { return Ok(None) };
        breaker.admit(now).map(Some).map_err(|rejected| {
            let breaker = breaker.id().clone();
            Box::new(Failure::BreakerOpen { breaker, retry_after: rejected.retry_after })
        })
    }

    /// The request's body as the real service gets it.
    fn body(&self, replay: Option<&Replay>, so_far: &mut SoFar, call: &mut Call) -> Body {
        if !so_far.is_real {
            so_far.is_real = true;
            so_far.web = real::bridge(self.service.speaks(), call);
        }
        let body = match replay {
            Some(replay) => replay.body().unwrap_or_default(),
            None => std::mem::take(call.request.body_mut()),
        };
        match &so_far.web {
            Some(web) => web.decode(body),
            None => body,
        }
    }

    /// An attempt at an endpoint, picked now.
    fn aim(
        &self,
        permit: Option<Permit>,
        so_far: &mut SoFar,
        now: Instant,
    ) -> Result<Aimed, Box<Failure>> {
        let picked = self.service.endpoints.pick(Ask {
            key: self.bound.key,
            sticky: self.bound.cookie.as_deref(),
            avoid: &so_far.endpoints,
            now,
            draw: &mut |below| fastrand::u64(..below),
        });
        let picked = picked.ok_or_else(|| Failure::none_of(&self.service.endpoints))?;
        so_far.endpoints.push(picked.endpoint.id);
        let number = self.retries().is_some().then_some(so_far.attempt);
        Ok(Aimed { permit, picked, number, now })
    }

    fn attempt<'f>(&'f self, asked: Asked<'f>, aimed: &Aimed) -> Attempt<'f> {
        Attempt {
            asked,
            set: Some(&self.service.endpoints),
            host: Host::of(self.service),
            number: aimed.number,
            timers: Timers::of(&self.plan.timeouts, self.whole, aimed.now),
        }
    }

    /// Tells everybody how an attempt ended.
    fn ended(&self, aimed: Aimed, result: Result<Received, Box<Failure>>) -> Tried {
        let Aimed { permit, picked, now, .. } = aimed;
        let set = self.governing.observes.then_some(&self.service.endpoints);
        let hedged = self.retries().filter(|retries| retries.settings.hedge.is_some());
        // Where nobody wants to know how long it took, no clock is read.
        let is_timed = permit.is_some() || set.is_some() || hedged.is_some();
        let ended = if is_timed { Instant::now() } else { now };
        let tried = Tried::real(result, picked, permit, set, (now, ended));
        if let (Some(retries), Some(took)) = (hedged, tried.took()) {
            retries.state.latencies.record(took);
        }
        tried
    }

    /// After how long a second attempt is made beside the first, and how many at most. Only reads
    /// are, and only what has no body.
    fn hedge(&self, body: &Body, call: &Call) -> Option<(Duration, u32)> {
        let retries = self.retries()?;
        let hedge = retries.settings.hedge?;
        let reads = call.request.method().is_safe() && body.is_end_stream();
        if !reads || call.upgrade.is_some() {
            return None;
        }
        let after = match hedge.after {
            HedgeAfter::Delay(delay) => delay,
            HedgeAfter::Percentile(share) => retries.state.latencies.percentile(share)?,
        };
        Some((after, hedge.max))
    }

    /// The first good one of several attempts at what has no body; the others are given up.
    async fn race<'f>(
        &'f self,
        first: Aimed,
        (after, most): (Duration, u32),
        asked: Asked<'f>,
        so_far: &mut SoFar,
    ) -> Tried {
        let run = |mut aimed: Aimed, hedged: bool| {
            async move {
                let attempt = self.attempt(asked, &aimed);
                let result = attempt.make(&mut aimed.picked, &mut Body::Empty).await;
                (self.ended(aimed, result), hedged)
            }
            .boxed()
        };
        let mut running = FuturesUnordered::from_iter([run(first, false)]);
        let mut budgets: SmallVec<[Retrying; 2]> = SmallVec::new();
        let mut left = most;
        loop {
            tokio::select! {
                Some((tried, hedged)) = running.next() => {
                    if !running.is_empty() && self.is_bad(tried.outcome()) {
                        continue;
                    }
                    if let Some(retries) = self.retries().filter(|_| hedged) {
                        retries.state.hedges_won.fetch_add(1, Relaxed);
                    }
                    return tried;
                }
                () = sleep(after), if left > 0 => match self.another(so_far) {
                    Some((hedge, budget)) => {
                        running.push(run(hedge, true));
                        budgets.push(budget);
                        left -= 1;
                    }
                    None => left = 0,
                },
                // The first attempt is in `running` until its end is returned.
                else => return Tried::failed(Box::new(Failure::NoEndpoint), None),
            }
        }
    }

    /// One more attempt beside those that run, if the budget and the service allow it.
    fn another(&self, so_far: &mut SoFar) -> Option<(Aimed, Retrying)> {
        let budget = self.budget()?;
        let now = Instant::now();
        let permit = self.permit(now).ok()?;
        so_far.attempt += 1;
        let attempt = self.aim(permit, so_far, now).ok()?;
        if let Some(retries) = self.retries() {
            retries.state.hedged.fetch_add(1, Relaxed);
        }
        Some((attempt, budget))
    }

    fn budget(&self) -> Option<Retrying> {
        let retries = self.retries()?;
        let budget = retries.state.budget.take(retries.settings.budget);
        if budget.is_none() {
            retries.state.denied.fetch_add(1, Relaxed);
        }
        budget
    }

    fn is_bad(&self, outcome: Outcome) -> bool {
        self.retries().is_some_and(|retries| is_worth_another(&retries.settings.on, outcome))
    }

    /// Whether, and after how long, there is another attempt.
    fn next(
        &self,
        tried: &Tried,
        tries: u32,
        replay: Option<&Replay>,
        call: &Call,
    ) -> Option<Next> {
        let retries = self.retries()?;
        let Retries { settings, state } = retries;
        let outcome = tried.outcome();
        let request = &call.request;
        let possible = tries <= settings.retries
            && is_worth_another(&settings.on, outcome)
            && may_repeat(request.method(), request.headers(), settings.repeats_unsafe, outcome)
            && replay.is_none_or(Replay::is_whole);
        if !possible {
            return None;
        }
        let wait = self.wait(tried, settings, tries)?;
        let budget = self.budget()?;
        state.retried.fetch_add(1, Relaxed);
        Some(Next { wait, budget })
    }

    /// How long to wait; `None` when there is not that much time.
    fn wait(&self, tried: &Tried, settings: &Retry, tries: u32) -> Option<Duration> {
        let asked = tried.header(&RETRY_AFTER);
        let asked = asked.and_then(|value| retry_after(value, SystemTime::now()));
        let left = self.whole.map(|whole| whole.at.saturating_duration_since(Instant::now()));
        let wait = asked.unwrap_or_else(|| backoff(settings.backoff, tries, fastrand::f64()));
        (wait < left.unwrap_or(PATIENCE.max(settings.backoff.1))).then_some(wait)
    }

    /// What the service's mock says, where it is asked first. The permit is used up with that.
    async fn mocked(
        &self,
        replay: Option<&Replay>,
        permit: &mut Option<Permit>,
        call: &mut Call,
        began: Instant,
    ) -> Option<Tried> {
        let mode = self.service.mode();
        let mock = self.service.mock.as_ref().filter(|_| mode.asks_mock_first())?;
        let offered = match replay {
            None => mock.offer(&mut call.request),
            Some(replay) => {
                let body = replay.body().unwrap_or_default();
                mock.offer(&mut copy(&call.request, body))
            }
        };
        let response = match offered {
            Offered::Now(response) => Ok(response),
            Offered::Later(later) => self.in_time(later).await,
            Offered::Miss(_) if mode == Mode::MockThenReal => return None,
            Offered::Miss(explain) => return Some(Tried::miss(explain(&call.request))),
        };
        let audience = Audience { permit: permit.take(), endpoint: None, began };
        Some(match response {
            Ok(response) => Tried::mock(response, audience),
            Err(failure) => Tried::failed(failure, Some(audience)),
        })
    }

    /// The timers of an attempt bound mocks too.
    async fn in_time(
        &self,
        later: impl Future<Output = Response<Body>>,
    ) -> Result<Response<Body>, Box<Failure>> {
        match Until::of_attempt(&self.plan.timeouts, self.whole, Instant::now()) {
            None => Ok(later.await),
            Some(until) => timeout_at(until.at, later).await.map_err(|_| until.failure(None)),
        }
    }
}

/// No further attempt can be made. Who answers in its place gets the request as it came.
fn given_up(failure: Box<Failure>, web: Option<Web>, call: &mut Call) -> Answered {
    if let Some(web) = web {
        web.restore(call.request.headers_mut());
    }
    Err(failure)
}

/// A request with the same head.
fn copy(request: &Request<Body>, body: Body) -> Request<Body> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}
