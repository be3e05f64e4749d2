//! One declared service as the proxy holds it: compiled, with the state that outlives reloads.

use crate::credentials::Credentials;
use crate::plan::{Blueprint, Kept, Plan};
use crate::relay::TcpStats;
use crate::stats::ServiceStats;
use crate::upstream::{EndpointSet, Speaks};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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
    /// A mode set at run time: index into [`Mode::ALL`] plus one; 0 means none.
    mode: AtomicU8,
}

impl ServiceState {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let (stats, tcp) = (ServiceStats::new(&name), TcpStats::default());
        Self { name, stats, tcp, mode: AtomicU8::new(0) }
    }

    /// The mode set at run time.
    pub fn mode_override(&self) -> Option<Mode> {
        let index = self.mode.load(Ordering::Relaxed);
        Mode::ALL.get(usize::from(index).checked_sub(1)?).copied()
    }

    /// Sets or clears the mode at run time.
    pub fn override_mode(&self, mode: Option<Mode>) {
        let index = mode.and_then(|mode| Mode::ALL.iter().position(|known| *known == mode));
        let index = index.and_then(|index| u8::try_from(index + 1).ok()).unwrap_or(0);
        self.mode.store(index, Ordering::Relaxed);
    }
}

impl Service {
    /// Compiles a service, keeping endpoints and state of its predecessor where nothing changed.
    pub(crate) fn compile(
        declared: &Arc<Declared>,
        mock: Option<Arc<dyn MockService>>,
        credentials: &Credentials,
        previous: Option<&Self>,
        kept: &Kept,
    ) -> Self {
        let endpoints = declared
            .upstreams
            .iter()
            .map(|upstream| (upstream.clone(), credentials.of(declared, upstream)));
        let before = previous.map(|previous| &*previous.endpoints);
        let now = Instant::now();
        let endpoints = EndpointSet::new(endpoints, &declared.policies, before, now);
        if declared.health_check.is_none() {
            endpoints.unchecked(now);
        }
        let endpoints = Arc::new(endpoints);
        let state = match previous {
            Some(previous) => {
                previous.drop_override_if_file_changed(declared);
                previous.state.clone()
            }
            None => Arc::new(ServiceState::new(declared.name.clone())),
        };
        let plan = Plan::compile(Blueprint {
            id: declared.name.clone(),
            service: &declared.name,
            timeouts: declared.timeout,
            written: &declared.policies,
            policies: &declared.policies,
            base: None,
            previous: previous.map(|previous| &*previous.plan),
            kept,
            now: Instant::now(),
        });
        Self { declared: declared.clone(), endpoints, mock, plan: Arc::new(plan), state }
    }

    /// What its endpoints speak, as far as they agree: something else than HTTP/1 if any does.
    pub(crate) fn speaks(&self) -> Speaks {
        let all = self.endpoints.all();
        let mut others = all.iter().map(|endpoint| endpoint.speaks());
        others.find(|speaks| *speaks != Speaks::Http1).unwrap_or(Speaks::Http1)
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.state.mode_override().unwrap_or(self.declared.mode)
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

    /// A reload that changes what was overridden at run time wins.
    fn drop_override_if_file_changed(&self, declared: &Declared) {
        let Some(mode) = self.state.mode_override() else { return };
        let file_changed = self.declared.mode != declared.mode;
        let impossible = mode.uses_real() && declared.upstreams.is_empty()
            || mode.uses_mock() && declared.endpoints.is_empty();
        if file_changed || impossible {
            self.state.override_mode(None);
            tracing::warn!(
                service = %declared.name,
                dropped = mode.as_str(),
                now = declared.mode.as_str(),
                "The file changed the mode, so the mode set at run time was dropped"
            );
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({})", self.declared.name)
    }
}
