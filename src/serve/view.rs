//! What the admin API sees of the running process.

use super::proxy::Running;
use crate::report::kind_of;
use crate::supervise::Supervisor;
use serde_json::{Value, json};
use std::sync::Arc;
use stitch_config::model::{Kind, Mode, Service};
use stitch_control::{Counters, EndpointView, ServiceView, SetModeRefused, View};
use stitch_proxy::{Breakers, Reading, SetModeError};
use tokio::time::Instant;

impl View for Running {
    fn config(&self) -> Value {
        stitch_config::dump(&self.proxy.snapshot().config)
    }

    fn services(&self) -> Vec<ServiceView> {
        let snapshot = self.proxy.snapshot();
        let mocks = self.engine.load().services();
        let commands = self.supervisor.get().map(Supervisor::states).unwrap_or_default();
        let view = |declared: &Arc<Service>| {
            let name = &*declared.name;
            let service = snapshot.service(name);
            let tcp = snapshot.tcp.get(name);
            let mock = mocks.iter().find(|mock| mock.name == name);
            let endpoints = mock.map(|mock| mock.endpoints.iter().map(endpoint).collect());
            let command = commands.iter().find(|command| command.name == name);
            let mode = service.map(|service| service.mode());
            ServiceView {
                name: name.to_owned(),
                kind: kind_of(declared),
                mode: mode.map(Mode::as_str),
                mode_in_file: mode
                    .filter(|mode| *mode != declared.mode)
                    .map(|_| declared.mode.as_str()),
                urls: self.urls(declared),
                upstreams: service
                    .or(tcp)
                    .map(|service| service.endpoints.view(Instant::now()))
                    .unwrap_or_default(),
                endpoints: endpoints.unwrap_or_default(),
                subscriptions: declared.subscriptions.iter().map(|s| s.subject.clone()).collect(),
                counters: match (service, tcp) {
                    (_, Some(tcp)) => Counters::Connections(tcp.state.tcp.read()),
                    (Some(service), None) => Counters::Requests(service.state.stats.read()),
                    (None, None) => Counters::Requests(Reading::default()),
                },
                command: command.map(|command| json!(command)),
            }
        };
        snapshot.config.services.iter().map(view).collect()
    }

    fn set_mode(&self, service: &str, mode: Mode) -> Result<(), SetModeRefused> {
        self.proxy.set_mode(service, mode).map_err(|error| match error {
            SetModeError::Unknown => SetModeRefused::Unknown(self.near(service)),
            SetModeError::Impossible(why) => SetModeRefused::Impossible(why.to_owned()),
        })
    }

    fn breakers(&self) -> Arc<Breakers> {
        self.proxy.breakers().clone()
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
