//! The one record of a request: made at arrival, closed when the answer's body ends or is dropped.
//! Counters and the access-log line both come from it.

use crate::access_log::{AccessLog, Line};
use crate::plan::Plan;
use crate::rescue::Failure;
use crate::service::ServiceState;
use crate::stats::Source;
use crate::upstream::Endpoint;
use http::{HeaderValue, Method, Uri};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use stitch_net::Reason;
use tokio::time::Instant;

/// What is known about a request on its way.
#[derive(Debug)]
pub(crate) struct Record {
    started: Instant,
    pub caller: Option<Arc<str>>,
    /// The service that was meant, be it nobody.
    target: Option<Arc<ServiceState>>,
    source: Source,
    reason: Option<Reason>,
    pub endpoint: Option<Arc<Endpoint>>,
    /// 0 until the answer's head is known.
    status: u16,
    pub bytes: u64,
    /// How often the service was asked; 0 where only once was possible.
    pub attempts: u32,
    /// The policies that it met, if any.
    pub plan: Option<Arc<Plan>>,
    /// Who sent it, as far as `auth` found out. A name, never what proved it.
    pub user: Option<Arc<str>>,
    /// The key of a policy that refused it or an attempt of it, and the policy's id.
    refused_by: Option<(&'static str, Arc<str>)>,
    /// A copy of it went to another service.
    pub mirrored: bool,
}

/// What else the log tells about a request.
pub(crate) struct Circumstances<'a> {
    pub method: &'a Method,
    /// As the client sent it.
    pub uri: &'a Uri,
    /// Nobody connected for requests that events cause.
    pub peer: Option<SocketAddr>,
    pub host: Option<&'a HeaderValue>,
    pub request_id: &'a HeaderValue,
}

impl Record {
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
            caller: None,
            target: None,
            source: Source::Stitch,
            reason: None,
            endpoint: None,
            status: 0,
            bytes: 0,
            attempts: 0,
            plan: None,
            user: None,
            refused_by: None,
            mirrored: false,
        }
    }

    /// When the request arrived.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Names the service; may be done once.
    pub fn meant_for(&mut self, state: &Arc<ServiceState>) {
        if self.target.is_none() {
            state.stats.begin();
            self.target = Some(state.clone());
        }
    }

    /// Whether somebody was named, be it nobody.
    pub fn is_meant_for_someone(&self) -> bool {
        self.target.is_some()
    }

    /// The service that was meant, unless it was nobody.
    pub fn service(&self) -> Option<&str> {
        self.target.as_ref().map(|target| &*target.name).filter(|name| *name != "-")
    }

    /// Remembers which policy it was, where it was one.
    pub fn failed(&mut self, failure: &Failure) {
        match failure {
            Failure::BreakerOpen { breaker, .. } => {
                self.refused_by = Some(("breaker", breaker.clone()));
            }
            Failure::RateLimited(refused) => {
                self.refused_by = Some(("rate_limit", refused.id.clone()));
            }
            _ => {}
        }
    }

    /// The answer's head is on its way to the caller.
    pub fn answered(&mut self, status: u16, source: Source, reason: Option<Reason>) {
        self.status = status;
        self.source = source;
        self.reason = reason;
    }

    /// Counts and logs. Without an answer the caller must have gone away.
    pub fn close(&mut self, log: &AccessLog, around: &Circumstances<'_>) {
        if self.status == 0 {
            self.status = Reason::ClientClosed.status();
            self.reason = Some(Reason::ClientClosed);
        }
        let took = self.started.elapsed();
        if let Some(target) = &self.target {
            target.stats.finish(self.source, self.status, self.reason, took);
        }
        if log.wants(self.status, self.reason) {
            log.write(self.line(took, around));
        }
    }

    /// The id of a route's own policies.
    fn route_policy(&self) -> Option<&str> {
        let id = &*self.plan.as_ref()?.id;
        id.contains('@').then_some(id)
    }

    fn mirror(&self) -> Option<Arc<str>> {
        let governing = self.plan.as_ref().filter(|_| self.mirrored)?.governing.as_ref()?;
        governing.mirror.as_ref().map(|mirror| mirror.to().clone())
    }

    fn line(&self, took: Duration, around: &Circumstances<'_>) -> Line {
        let text = |value: Option<&HeaderValue>| {
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        Line {
            at: SystemTime::now(),
            peer: around.peer.map_or_else(|| "event".to_owned(), |peer| peer.to_string()),
            method: around.method.to_string(),
            host: text(around.host),
            path: around.uri.path_and_query().map_or("", |path| path.as_str()).to_owned(),
            status: self.status,
            bytes: self.bytes,
            attempts: self.attempts,
            took,
            service: self.target.as_ref().map_or("-", |target| &target.name).to_owned(),
            source: self.source.as_str(),
            endpoint: self.endpoint.as_ref().map(ToString::to_string).unwrap_or_default(),
            reason: self.reason,
            request_id: text(Some(around.request_id)),
            caller: self.caller.as_deref().unwrap_or_default().to_owned(),
            policy: self.route_policy().unwrap_or_default().to_owned(),
            refused_by: self.refused_by.clone(),
            user: self.user.clone(),
            mirror: self.mirror(),
        }
    }
}
