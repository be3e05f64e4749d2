//! One declared service as the proxy holds it: compiled, with the state that outlives reloads.

use crate::auth::AuthStats;
use crate::edit::EditStats;
use crate::plan::{Blueprint, Compiling, Plan, PlanView};
use crate::relay::TcpStats;
use crate::stats::ServiceStats;
use crate::upstream::{EndpointSet, Speaks};
use std::sync::Arc;
use stitch_config::model::{Mode, Service as Declared};
use stitch_net::MockService;
use tokio::time::Instant;

/// A compiled service.
pub struct Service {
    /// As declared.
    pub declared: Arc<Declared>,
    /// Its real endpoints.
    pub endpoints: Arc<EndpointSet>,
    /// Its mock, if it declares endpoints.
    pub mock: Option<Arc<dyn MockService>>,
    /// Its policies, for requests that no route has others for.
    pub(crate) plan: Arc<Plan>,
    /// What survives reloads.
    pub state: Arc<ServiceState>,
}

/// What a service keeps over reloads.
#[derive(Debug)]
pub struct ServiceState {
    /// The service's name; `-` stands for nobody.
    pub name: Arc<str>,
    /// Counters of its requests.
    pub stats: ServiceStats,
    /// Counters of its connections, for `type: tcp`.
    pub tcp: TcpStats,
    pub(crate) auth: Arc<AuthStats>,
    pub(crate) edits: Arc<EditStats>,
}

impl ServiceState {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let (stats, tcp) = (ServiceStats::new(&name), TcpStats::default());
        let auth = Arc::new(AuthStats::new(&name));
        Self { name, stats, tcp, auth, edits: Arc::default() }
    }

    /// Hands the numbers to the metrics facade.
    pub(crate) fn publish(&self) {
        self.stats.publish();
        self.auth.publish();
        self.edits.publish(&self.name);
    }
}

impl Service {
    /// Compiles a service, keeping endpoints and state of its predecessor where nothing changed.
    pub(crate) fn compile(
        declared: &Arc<Declared>,
        mock: Option<Arc<dyn MockService>>,
        previous: Option<&Self>,
        with: Compiling<'_>,
    ) -> Self {
        let endpoints = declared
            .upstreams
            .iter()
            .map(|upstream| (upstream.clone(), with.credentials.of(declared, upstream)));
        let before = previous.map(|previous| &*previous.endpoints);
        let now = with.now;
        let endpoints =
            EndpointSet::new(declared.name.clone(), endpoints, &declared.policies, before, now);
        if declared.health_check.is_none() {
            endpoints.unchecked(now);
        }
        let endpoints = Arc::new(endpoints);
        let state = match previous {
            Some(previous) => previous.state.clone(),
            None => Arc::new(ServiceState::new(declared.name.clone())),
        };
        let plan = Plan::compile(&Blueprint {
            with,
            id: declared.name.clone(),
            service: &declared.name,
            timeouts: declared.timeout,
            written: &declared.policies,
            policies: &declared.policies,
            base: None,
            previous: previous.map(|previous| &*previous.plan),
            edits: &state.edits,
        });
        Self { declared: declared.clone(), endpoints, mock, plan: Arc::new(plan), state }
    }

    /// What its endpoints speak, as far as they agree: something else than HTTP/1 if any does.
    pub(crate) fn speaks(&self) -> Speaks {
        let all = self.endpoints.all();
        let mut others = all.iter().map(|endpoint| endpoint.speaks());
        others.find(|speaks| *speaks != Speaks::Http1).unwrap_or(Speaks::Http1)
    }

    /// Its policies now, as the API shows them.
    pub fn plan_view(&self, now: Instant) -> Option<PlanView> {
        self.plan.view(now)
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.declared.mode
    }

    /// Why a mode cannot be set on this service, if it cannot.
    pub fn refuses(&self, mode: Mode) -> Option<&'static str> {
        if mode != Mode::Mock && self.endpoints.is_empty() {
            Some("the service has no url, so nothing real can answer")
        } else if mode != Mode::Real && self.mock.is_none() {
            Some("the service has no endpoints, so no mock can answer")
        } else {
            None
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({})", self.declared.name)
    }
}
