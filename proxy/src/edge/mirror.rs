//! `mirror`: a copy of a share of the requests for another service, fire and forget.
//!
//! The copy runs in a task of its own and has bounds of its own; the original neither waits for it nor
//! hears of it. Nothing of the original's connection is held, so that nobody waits for copies when
//! the process stops; but what a client still sends of an answered request is read on for its copy.

use super::teeing::{self, Fate, Lost};
use http::header::UPGRADE;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde::Serialize;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use stitch_config::model;
use stitch_net::{Body, Flow, Reason};
use tokio::time::timeout;

/// Tells a copy from an original. Like every `x-stitch-*` it is taken from trusted peers only.
const MIRROR: HeaderName = HeaderName::from_static("x-stitch-mirror");
/// How long a copy may take, its answer included.
const LIMIT: Duration = Duration::from_secs(30);
/// How much of an answer is read, so that its connection can be used again.
const MOST_OF_ANSWER: usize = 1 << 20;

/// A compiled policy.
#[derive(Debug)]
pub struct Mirror {
    to: Arc<str>,
    share: f64,
    max: u32,
    max_body: u64,
    state: Arc<State>,
}

/// What survives reloads.
#[derive(Debug, Default)]
struct State {
    in_flight: AtomicU32,
    counts: [AtomicU64; Outcome::ALL.len()],
    /// How many of them the metrics know.
    told: [AtomicU64; Outcome::ALL.len()],
}

/// What a mirror says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MirrorView {
    /// The service that copies go to.
    pub to: Arc<str>,
    /// Copies on their way.
    pub in_flight: u32,
    /// Copies that were answered.
    pub sent: u64,
    /// Copies for which there was no place, or whose original broke off.
    pub dropped: u64,
    /// Requests too large to be copied.
    pub too_large: u64,
    /// Copies that nobody answered.
    pub failed: u64,
}

/// What became of a request that was chosen to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Somebody answered.
    Sent,
    /// There was no place for it, or its original broke off.
    Dropped,
    TooLarge,
    /// Nobody answered, or not in time.
    Failed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Sent, Self::Dropped, Self::TooLarge, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
        }
    }
}

impl From<Lost> for Outcome {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::TooLarge => Self::TooLarge,
            Lost::BrokenOff => Self::Dropped,
        }
    }
}

impl Mirror {
    /// Compiles what was declared. Counters of a mirror to the same service go on.
    pub fn compile(declared: &model::Mirror, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let same = previous.filter(|previous| previous.to == declared.to);
        Arc::new(Self {
            to: declared.to.clone(),
            share: declared.share,
            max: declared.max,
            max_body: declared.max_body,
            state: same.map(|previous| previous.state.clone()).unwrap_or_default(),
        })
    }

    /// Sends a copy of a request that is about to be sent, if `draw`, uniform from 0 to 1, is within
    /// the share, and says whether it does. The request's body may be replaced by one that is copied
    /// as it is read. Must be called within a runtime, once per request, and not for upgrades.
    pub fn tee(
        self: &Arc<Self>,
        request: &mut Request<Body>,
        flow: &Arc<dyn Flow>,
        draw: f64,
    ) -> bool {
        if draw >= self.share && self.share < 1.0 || is_exempt(request) {
            return false;
        }
        let least = request.body().size_hint().lower();
        if least > self.max_body {
            self.state.count(Outcome::TooLarge);
            return false;
        }
        let Some(place) = Place::take(&self.state, self.max) else {
            self.state.count(Outcome::Dropped);
            return false;
        };
        let (body, fate) = self.copy_body(request);
        let mut copy = Request::new(body);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.headers_mut().insert(MIRROR, HeaderValue::from_static("1"));
        let (to, flow) = (self.to.clone(), flow.clone());
        tokio::spawn(async move {
            let outcome = tokio::select! {
                // First, because a copy that is lost fails besides.
                biased;
                outcome = lost(fate) => outcome,
                outcome = timeout(LIMIT, send(&to, copy, &*flow)) => {
                    outcome.unwrap_or(Outcome::Failed)
                }
            };
            place.state.count(outcome);
        });
        true
    }

    /// The service that copies go to.
    pub fn to(&self) -> &Arc<str> {
        &self.to
    }

    /// How it is now.
    pub fn view(&self) -> MirrorView {
        let count = |outcome| self.state.counts[outcome as usize].load(Ordering::Relaxed);
        MirrorView {
            to: self.to.clone(),
            in_flight: self.state.in_flight.load(Ordering::Relaxed),
            sent: count(Outcome::Sent),
            dropped: count(Outcome::Dropped),
            too_large: count(Outcome::TooLarge),
            failed: count(Outcome::Failed),
        }
    }

    /// The copy's body. Bytes that are here already are shared.
    fn copy_body(&self, request: &mut Request<Body>) -> (Body, Option<Fate>) {
        match request.body() {
            Body::Empty => (Body::Empty, None),
            Body::Full(bytes) => (Body::Full(bytes.clone()), None),
            body if body.is_end_stream() => (Body::Empty, None),
            _ => {
                let body = std::mem::take(request.body_mut());
                let (original, copy, fate) = teeing::tee(body, self.max_body);
                *request.body_mut() = original;
                (copy, Some(fate))
            }
        }
    }

    /// Hands the counters to the metrics facade; called before they are scraped.
    pub fn publish(&self, service: &str) {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            let count = self.state.counts[index].load(Ordering::Relaxed);
            let told = self.state.told[index].swap(count, Ordering::Relaxed);
            // A service and its routes may have mirrors to the same service: their counts add up.
            if count > told {
                metrics::counter!("stitch_mirror_requests_total",
                    "service" => service.to_owned(), "to" => self.to.to_string(),
                    "outcome" => outcome.as_str())
                .increment(count - told);
            }
        }
    }
}

/// What is never copied: copies themselves, and what becomes a tunnel.
fn is_exempt(request: &Request<Body>) -> bool {
    *request.method() == Method::CONNECT
        || request.headers().contains_key(MIRROR)
        || request.headers().contains_key(UPGRADE)
}

/// Sends the copy and reads what is answered.
async fn send(to: &str, copy: Request<Body>, flow: &dyn Flow) -> Outcome {
    let response = flow.call(to, copy).await;
    let instead = response.extensions().get::<Reason>().is_some();
    let mut body = response.into_body();
    let mut left = MOST_OF_ANSWER;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    if instead { Outcome::Failed } else { Outcome::Sent }
}

/// Waits until the copy is lost, which most never are.
async fn lost(fate: Option<Fate>) -> Outcome {
    match fate {
        Some(fate) => fate.lost().await.into(),
        None => pending().await,
    }
}

impl State {
    fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A place among the copies in flight, free again when it is dropped.
struct Place {
    state: Arc<State>,
}

impl Place {
    fn take(state: &Arc<State>, max: u32) -> Option<Self> {
        // The count may pass the bound for a moment, but no copy does.
        if state.in_flight.fetch_add(1, Ordering::Relaxed) >= max {
            state.in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { state: state.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
