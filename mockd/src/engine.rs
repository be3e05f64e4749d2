//! The compiled mocks of one configuration.

use crate::counters::Counters;
use crate::endpoint::{EndpointMock, same};
use crate::events::{Publisher, SubscriptionMock};
use crate::file::Budget;
use crate::front_door::FrontDoor;
use crate::nearest::{Near, method_names, nearest};
use crate::service::{Mocks, ServiceMock};
use crate::shared::Shared;
use crate::template::{Compiler, to_value};
use hashbrown::HashMap;
use http::Method;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use stitch_config::model::{Endpoint, Service};
use stitch_config::{Config, Report};
use stitch_net::{Draws, MockService, MockSet};

/// Every mock of one configuration, ready to answer. Immutable but for its counters.
pub struct Engine {
    services: HashMap<Arc<str>, Arc<ServiceMock>>,
    /// In file order.
    order: Vec<Arc<ServiceMock>>,
    everything: Arc<ServiceMock>,
    subscriptions: Vec<SubscriptionMock>,
    front_door: FrontDoor,
    shared: Arc<Shared>,
}

/// What one mocked service has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// Its endpoints in file order.
    pub endpoints: Vec<EndpointInfo>,
    /// Requests that none of them took.
    pub misses: u64,
}

/// What one endpoint has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointInfo {
    /// Its id.
    pub id: String,
    /// Its methods: `GET`, `GET, POST` or `ANY`.
    pub methods: String,
    /// Its path pattern.
    pub path: String,
    /// Requests that it took.
    pub hits: u64,
    /// Those of them that failed on purpose.
    pub failures: u64,
}

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The service whose endpoint would answer, or that was asked for.
    pub service: Option<String>,
    /// The id of the endpoint that would answer.
    pub endpoint: Option<String>,
    /// Methods that the path is declared for, when none would answer.
    pub allow: Vec<String>,
    /// What is near, when none would answer.
    pub nearest: Vec<Near>,
}

impl Engine {
    /// Compiles the mocks of a configuration; mistakes go to the report, and an engine whose report
    /// has errors must not serve. Counters of endpoints that did not change are carried over from
    /// `previous`, and with them where their chance goes on; so is the way to the event bus.
    pub fn compile(
        config: &Config,
        seed: u64,
        previous: Option<&Self>,
        report: &mut Report,
    ) -> Arc<Self> {
        let vars = config.vars.iter().map(|(name, _)| name.as_str()).collect();
        let mut compiler = Compiler::new(vars, report);
        let mut budget = Budget::default();
        let mut compiled = Vec::new();
        let mut subscriptions = Vec::new();
        for service in &config.services {
            let endpoints = compile_endpoints(service, previous, &mut compiler, &mut budget);
            compiled.push((service.name.clone(), endpoints));
            subscriptions.extend(service.subscriptions.iter().map(|subscription| {
                SubscriptionMock::compile(&service.name, subscription, &mut compiler)
            }));
        }
        let vars = config.vars.iter().map(|(name, value)| (name.as_str(), value.to_json()));
        let vars: serde_json::Map<_, _> =
            vars.map(|(name, value)| (name.to_owned(), value)).collect();
        let publisher = previous.map(|engine| engine.shared.publisher.clone());
        let shared = Arc::new(Shared {
            environment: compiler.finish(),
            vars: to_value(&vars),
            draws: Draws::new(seed),
            publisher: publisher.unwrap_or_else(|| Arc::new(OnceLock::new())),
            file: config.file.clone(),
        });
        Arc::new(Self::assemble(config, compiled, subscriptions, previous, shared))
    }

    fn assemble(
        config: &Config,
        compiled: Vec<(Arc<str>, Vec<Arc<EndpointMock>>)>,
        subscriptions: Vec<SubscriptionMock>,
        previous: Option<&Self>,
        shared: Arc<Shared>,
    ) -> Self {
        let all = compiled.iter().flat_map(|(_, endpoints)| endpoints.iter().cloned()).collect();
        let misses =
            |mocks: Option<&Mocks>| mocks.map(|mocks| mocks.misses.clone()).unwrap_or_default();
        let everything = ServiceMock::new(
            None,
            all,
            misses(previous.map(|engine| engine.everything.mocks())),
            shared.clone(),
        );
        let mut order = Vec::new();
        for (name, endpoints) in compiled {
            if endpoints.is_empty() {
                continue;
            }
            let misses: Arc<AtomicU64> = misses(previous.and_then(|engine| engine.mocks(&name)));
            order.push(Arc::new(ServiceMock::new(Some(name), endpoints, misses, shared.clone())));
        }
        let named = |mock: &Arc<ServiceMock>| Some((mock.mocks().name.clone()?, mock.clone()));
        Self {
            services: order.iter().filter_map(named).collect(),
            order,
            everything: Arc::new(everything),
            subscriptions,
            front_door: FrontDoor::new(config),
            shared,
        }
    }

    /// Sends what endpoints publish to the bus. Engines compiled from this one do the same; a second
    /// call changes nothing.
    pub fn publish_to(&self, publisher: Publisher) {
        // A second publisher would belong to a second event hub, of which a process has one.
        let _ = self.shared.publisher.set(publisher);
    }

    /// Every mocked service, in file order, and what it has done.
    pub fn services(&self) -> Vec<ServiceInfo> {
        let info = |mocks: &Mocks| ServiceInfo {
            name: mocks.name.as_deref().unwrap_or_default().to_owned(),
            endpoints: mocks.endpoints.iter().map(|endpoint| endpoint_info(endpoint)).collect(),
            misses: mocks.misses.load(Ordering::Relaxed),
        };
        self.order.iter().map(|mock| info(mock.mocks())).collect()
    }

    /// Which endpoint would answer, of one service or of all; without counting a match.
    pub fn explain(&self, service: Option<&str>, method: &Method, path: &str) -> Explanation {
        let mut explanation = Explanation {
            service: service.map(str::to_owned),
            endpoint: None,
            allow: Vec::new(),
            nearest: Vec::new(),
        };
        let Some(mocks) = self.mocks_of(service) else { return explanation };
        if let Some(endpoint) = mocks.find(method, path) {
            explanation.service = Some(endpoint.service.to_string());
            explanation.endpoint = Some(endpoint.model.id.to_string());
        } else {
            let allowed = crate::miss::allowed(mocks.endpoints.iter(), path);
            explanation.allow = allowed.iter().map(Method::to_string).collect();
            explanation.nearest = nearest(mocks.endpoints.iter(), method, path);
        }
        explanation
    }

    /// The mocks of one service, or of all.
    pub(crate) fn mocks_of(&self, service: Option<&str>) -> Option<&Mocks> {
        match service {
            None => Some(self.everything.mocks()),
            Some(name) => self.mocks(name),
        }
    }

    pub(crate) fn mocks(&self, service: &str) -> Option<&Mocks> {
        self.services.get(service).map(|mock| mock.mocks())
    }

    pub(crate) fn subscriptions(&self) -> &[SubscriptionMock] {
        &self.subscriptions
    }

    pub(crate) fn front_door(&self) -> &FrontDoor {
        &self.front_door
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl MockSet for Engine {
    fn service(&self, name: &str) -> Option<Arc<dyn MockService>> {
        let mock = self.services.get(name)?;
        Some(mock.clone())
    }

    fn everything(&self) -> Arc<dyn MockService> {
        self.everything.clone()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("services", &self.services.len()).finish_non_exhaustive()
    }
}

fn compile_endpoints(
    service: &Service,
    previous: Option<&Engine>,
    compiler: &mut Compiler<'_>,
    budget: &mut Budget,
) -> Vec<Arc<EndpointMock>> {
    let old = previous.and_then(|engine| engine.mocks(&service.name));
    let old = old.map(|mocks| mocks.endpoints.as_slice()).unwrap_or_default();
    let old: HashMap<_, _> = old.iter().map(|mock| (mock.model.id.clone(), mock)).collect();
    let counters = |id: &Arc<str>, model: &Endpoint| match old.get(id) {
        Some(mock) if same(&mock.model, model) => mock.counters.clone(),
        _ => Arc::new(Counters::default()),
    };
    let siblings = &service.endpoints;
    let compile = |model: &Arc<Endpoint>| {
        let counters = counters(&model.id, model);
        let name = &service.name;
        Arc::new(EndpointMock::compile(model, name, siblings, compiler, budget, counters))
    };
    siblings.iter().map(compile).collect()
}

fn endpoint_info(endpoint: &EndpointMock) -> EndpointInfo {
    EndpointInfo {
        id: endpoint.model.id.to_string(),
        methods: method_names(&endpoint.model.methods),
        path: endpoint.model.path.to_string(),
        hits: endpoint.counters.hits(),
        failures: endpoint.counters.failures(),
    }
}
