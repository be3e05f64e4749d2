//! Plans made from what the file says, with what those before them have kept.

use super::governing::{Governing, Plan, Retries};
use super::kept::Kept;
use crate::auth::{Auth, Caller};
use crate::breakers::Breaker;
use crate::credentials::Credentials;
use crate::edge::{Cors, Mirror};
use crate::edit::{EditStats, Edits};
use crate::limit::bulkhead::Bulkhead;
use crate::snapshot::same_host;
use std::sync::{Arc, Weak};
use stitch_config::Config;
use stitch_config::model::{Balance, Kind, Policies, Timeouts, Upstream};
use stitch_net::Flow;
use tokio::time::Instant;

/// What all plans of one configuration are made with.
#[derive(Clone, Copy)]
pub(crate) struct Compiling<'a> {
    pub config: &'a Config,
    pub credentials: &'a Credentials,
    pub kept: &'a Kept,
    pub now: Instant,
}

/// What one plan is made from.
pub(crate) struct Blueprint<'a> {
    pub with: Compiling<'a>,
    pub id: Arc<str>,
    pub service: &'a str,
    pub timeouts: Timeouts,
    /// As its owner wrote them.
    pub written: &'a Policies,
    /// Merged with those above.
    pub policies: &'a Policies,
    /// The service's plan, for a route: what the route does not write is shared.
    pub base: Option<&'a Plan>,
    /// The plan of the same id before.
    pub previous: Option<&'a Plan>,
    /// The service's.
    pub edits: &'a Arc<EditStats>,
}

impl Blueprint<'_> {
    pub(super) fn governing(&self) -> Governing {
        let Self { policies, written, .. } = *self;
        let balance = policies.balance.get();
        Governing {
            cors: policies.cors.get().map(Cors::compile),
            auth: self.auth(),
            rates: policies.rate_limit.get().map(|rules| self.with.kept.limiters.keep(rules)),
            bulkhead: self.bulkhead(),
            edits: Edits::new(policies, self.edits),
            mirror: self.shared(written.mirror.is_written(), |base| base.mirror.clone()).or_else(
                || {
                    let before = self.before(|before| before.mirror.clone(), Arc::ptr_eq);
                    Some(Mirror::compile(policies.mirror.get()?, before.as_ref()))
                },
            ),
            retries: self.retries(),
            breaker: self.breaker(),
            binds: matches!(balance, Some(Balance::Hash(_) | Balance::Sticky(_))),
            observes: policies.eject.get().is_some() || balance == Some(&Balance::Ewma),
            compression: policies.compression.get().is_some(),
        }
    }

    /// What the service's plan has, where this owner wrote nothing of its own.
    fn shared<T>(&self, written: bool, of: impl Fn(&Governing) -> Option<T>) -> Option<T> {
        let base = self.base.filter(|_| !written)?;
        base.governing.as_deref().and_then(of)
    }

    /// What the plan of the same id had before, unless it was, and is, its service's.
    fn before<T>(
        &self,
        of: impl Fn(&Governing) -> Option<T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Option<T> {
        let of = |plan: &Plan| of(plan.governing.as_deref()?);
        let services = self.base.and_then(of);
        let before = self.previous.and_then(of)?;
        services.is_none_or(|services| !same(&before, &services)).then_some(before)
    }

    fn auth(&self) -> Option<Arc<Auth>> {
        let declared = self.policies.auth.get()?;
        let shared = self.shared(self.written.auth.is_written(), |base| base.auth.clone());
        shared.or_else(|| {
            let before = self.before(|before| before.auth.clone(), Arc::ptr_eq);
            let files = &self.with.credentials.auth;
            let callers = |upstream: &Upstream| self.with.caller(upstream);
            Some(Auth::compile(declared, files, &callers, before.as_deref()))
        })
    }

    fn bulkhead(&self) -> Option<Arc<Bulkhead>> {
        let settings = self.policies.concurrency.get()?;
        let written = self.written.concurrency.is_written();
        self.shared(written, |base| base.bulkhead.clone()).or_else(|| {
            let before = self.before(|before| before.bulkhead.clone(), Arc::ptr_eq);
            Some(Bulkhead::keep(settings, before.as_ref()))
        })
    }

    fn retries(&self) -> Option<Retries> {
        let settings = self.policies.retry.get()?.clone();
        let shared = self.shared(self.written.retry.is_written(), |base| base.retries.clone());
        let same = |one: &Retries, other: &Retries| Arc::ptr_eq(&one.state, &other.state);
        let before = || self.before(|before| before.retries.clone(), same);
        let state = shared.or_else(before).map(|retries| retries.state).unwrap_or_default();
        Some(Retries { settings, state })
    }

    fn breaker(&self) -> Option<Arc<Breaker>> {
        let settings = self.policies.breaker.get()?;
        let Compiling { kept, now, .. } = self.with;
        self.shared(self.written.breaker.is_written(), |base| base.breaker.clone())
            .or_else(|| Some(kept.breakers.keep(&self.id, self.service, settings, now)))
    }
}

impl Compiling<'_> {
    /// The declared service that a checker's url means, by its host or its own url.
    fn caller(&self, to: &Upstream) -> Option<Caller> {
        let (host, port) = to.host_port()?;
        let http = self.config.services.iter().filter(|service| service.kind == Kind::Http);
        let mut services = http.filter(|service| {
            let by_name = service.hosts.iter().any(|own| {
                own.host.eq_ignore_ascii_case(host) && own.port.is_none_or(|own| own == port)
            });
            let own = service.upstreams.iter().filter_map(Upstream::host_port);
            by_name || own.into_iter().any(|own| own.1 == port && same_host(own.0, host))
        });
        let flow: Arc<dyn Flow> = self.kept.flow.clone();
        let flow: Weak<dyn Flow> = Arc::downgrade(&flow);
        services.next().map(|service| Caller::Service(flow, service.name.clone()))
    }
}
