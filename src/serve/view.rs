//! What the admin API sees of the running process.

use super::change::Request;
use super::proxy::Running;
use crate::report::kind_of;
use crate::supervise::Supervisor;
use serde_json::{Value, json};
use std::sync::Arc;
use stitch_config::model::{Kind, Mode, Service};
use stitch_control::{
    Change, ChangeRefused, Counters, EndpointView, RouteView, ServiceView, SetModeRefused, View,
};
use stitch_net::mock::BoxFuture;
use stitch_proxy::{Breakers, Reading, RoutePlan, Snapshot};
use tokio::sync::oneshot;
use tokio::time::Instant;

impl View for Running {
    fn config(&self) -> Value {
        stitch_config::dump(&self.proxy.snapshot().config)
    }

    fn services(&self) -> Vec<ServiceView> {
        let snapshot = self.proxy.snapshot();
        let mocks = self.engine.load().services();
        let commands = self.supervisor.get().map(Supervisor::states).unwrap_or_default();
        let run_time = self.run_time();
        let now = Instant::now();
        let view = |declared: &Arc<Service>| {
            let name = &*declared.name;
            let service = snapshot.service(name);
            let tcp = snapshot.tcp.get(name);
            let mock = mocks.iter().find(|mock| mock.name == name);
            let endpoints = mock.map(|mock| mock.endpoints.iter().map(endpoint).collect());
            let command = commands.iter().find(|command| command.name == name);
            let mode = service.map(|service| service.mode());
            let overrides = run_time.shown(name);
            let changed = mode.filter(|_| overrides.contains_key("mode"));
            let in_files = changed.map(|_| self.mode_in_files(declared));
            ServiceView {
                name: name.to_owned(),
                kind: kind_of(declared),
                mode: mode.map(Mode::as_str),
                mode_in_file: in_files.filter(|_| mode != in_files).map(Mode::as_str),
                urls: self.urls(declared),
                upstreams: service
                    .or(tcp)
                    .map(|service| service.endpoints.view(now))
                    .unwrap_or_default(),
                endpoints: endpoints.unwrap_or_default(),
                subscriptions: declared.subscriptions.iter().map(|s| s.subject.clone()).collect(),
                counters: match (service, tcp) {
                    (_, Some(tcp)) => Counters::Connections(tcp.state.tcp.read()),
                    (Some(service), None) => Counters::Requests(service.state.stats.read()),
                    (None, None) => Counters::Requests(Reading::default()),
                },
                policies: stitch_config::dump_policies(declared),
                state: service.and_then(|service| service.plan_view(now)),
                routes: service.map_or_else(Vec::new, |service| routes(&snapshot, service, now)),
                overrides,
                command: command.map(|command| json!(command)),
            }
        };
        snapshot.config.services.iter().map(view).collect()
    }

    fn change(&self, change: Change) -> BoxFuture<Result<(), ChangeRefused>> {
        let requests = self.requests.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            if requests.send(Request { change, answer }).await.is_err() {
                return Err(ChangeRefused::Stopping);
            }
            answered.await.unwrap_or(Err(ChangeRefused::Stopping))
        })
    }

    fn breakers(&self) -> Arc<Breakers> {
        self.proxy.breakers().clone()
    }

    fn refuses_mode(&self, service: &str, mode: Mode) -> Option<SetModeRefused> {
        let snapshot = self.proxy.snapshot();
        if snapshot.tcp.get(service).is_some() {
            let why = "bytes of type: tcp are passed on, never mocked";
            return Some(SetModeRefused::Impossible(why.to_owned()));
        }
        match snapshot.service(service) {
            Some(known) => {
                known.refuses(mode).map(|why| SetModeRefused::Impossible(why.to_owned()))
            }
            None => Some(SetModeRefused::Unknown(self.near(service))),
        }
    }

    fn publish_metrics(&self) {
        self.proxy.publish_metrics();
        self.checks.publish();
    }
}

impl Running {
    /// The declared name nearest to one that is not declared.
    fn near(&self, name: &str) -> Option<String> {
        let snapshot = self.proxy.snapshot();
        let names = snapshot.config.services.iter().filter(|service| service.kind == Kind::Http);
        stitch_config::near::nearest(name, names.map(|service| &*service.name)).map(str::to_owned)
    }

    /// The same among all.
    pub(super) fn near_any(&self, name: &str) -> Option<String> {
        let snapshot = self.proxy.snapshot();
        let names = snapshot.config.services.iter().map(|service| &*service.name);
        stitch_config::near::nearest(name, names).map(str::to_owned)
    }
}

/// The routes to a service that have policies of their own.
fn routes(snapshot: &Snapshot, service: &stitch_proxy::Service, now: Instant) -> Vec<RouteView> {
    let plans = snapshot.route_plans(service, now).into_iter();
    let view = |plan: RoutePlan| RouteView {
        id: plan.route.id.to_string(),
        plan: plan.id.to_string(),
        matches: stitch_config::dump_match(&plan.route),
        policies: stitch_config::dump_route_policies(&plan.route),
        state: plan.state,
    };
    plans.map(view).collect()
}

fn endpoint(info: &stitch_mockd::EndpointInfo) -> EndpointView {
    EndpointView {
        id: info.id.clone(),
        methods: info.methods.split(", ").map(str::to_owned).collect(),
        path: info.path.clone(),
        hits: info.hits,
        failures: info.failures,
    }
}
