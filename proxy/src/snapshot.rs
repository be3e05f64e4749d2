//! The compiled, immutable configuration that one request sees for its whole life.

use crate::breakers::Breakers;
use crate::credentials::Credentials;
use crate::edit::Respond;
use crate::forward::{ForwardPolicy, OwnAddresses};
use crate::plan::{Blueprint, Compiling, Kept, Plan, Plans, RoutePlan};
use crate::relay::TcpServices;
use crate::route::{RouteTable, Routed};
use crate::service::Service;
use hashbrown::{HashMap, HashSet};
use http::Method;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{
    AllowRule, Kind, Limits, NetClass, Route, RouteAction, Service as Declared, TimeoutOverrides,
    Upstream,
};
use stitch_config::pattern::{Authority, HostTable};
use stitch_net::{MockService, MockSet};
use tokio::time::Instant;

/// A compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// As declared.
    pub config: Arc<Config>,
    /// HTTP services in file order.
    pub services: Vec<Arc<Service>>,
    /// Services of `type: tcp`.
    pub tcp: TcpServices,
    by_name: HashMap<Arc<str>, Arc<Service>>,
    by_url: HashMap<u16, Vec<(String, Arc<Service>)>>,
    pub(crate) hosts: HostTable<Arc<Service>>,
    pub(crate) routes: RouteTable<RouteTarget>,
    /// Of routes that have policies of their own.
    pub(crate) plans: Plans,
    /// What its policies share with those before and after.
    pub(crate) kept: Arc<Kept>,
    /// Whether any `cors` answers the questions of browsers.
    pub(crate) answers_browsers: bool,
    /// Whether a service with policies has a mock, which may be found by its path alone.
    pub(crate) governs_mocks: bool,
    /// Parameters of queries that hold credentials somewhere, which no log may tell.
    pub(crate) secret_queries: Vec<String>,
    pub(crate) forward: Arc<ForwardPolicy>,
    pub(crate) limits: Limits,
    trust: Vec<AllowRule>,
    /// Certificates and keys.
    pub credentials: Credentials,
    pub(crate) everything: Everything,
}

/// Every mock by path.
pub(crate) struct Everything(pub(crate) Arc<dyn MockService>);

impl std::fmt::Debug for Everything {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Everything")
    }
}

/// Where a route leads, compiled.
#[derive(Debug)]
pub enum RouteTarget {
    /// Services by weight; the sum of the weights comes first.
    Services(u64, Vec<Target>),
    /// Elsewhere, by the client itself.
    Redirect,
    /// Nowhere: the proxy answers as the route says.
    Respond(Respond),
    /// Health and metrics of the proxy.
    Stitch,
}

/// One service that a route leads to.
#[derive(Debug)]
pub struct Target {
    /// Its share.
    pub weight: u64,
    /// Who.
    pub service: Arc<Service>,
    /// The policies along the route.
    pub(crate) plan: Arc<Plan>,
}

impl Snapshot {
    /// Compiles a configuration that was found free of errors. State of services that did not change
    /// is taken over from `previous`.
    pub fn compile(
        config: Arc<Config>,
        mocks: &dyn MockSet,
        own: OwnAddresses,
        credentials: Credentials,
        previous: Option<&Self>,
    ) -> Self {
        let kept = previous.map(|previous| previous.kept.clone()).unwrap_or_default();
        let now = Instant::now();
        let with = Compiling { config: &config, credentials: &credentials, kept: &kept, now };
        let compile = |declared: &Arc<Declared>| {
            let mock = mocks.service(&declared.name);
            let before = previous.and_then(|previous| {
                previous.service(&declared.name).or_else(|| previous.tcp.get(&declared.name))
            });
            let before = before.map(|service| &**service);
            Arc::new(Service::compile(declared, mock, before, with))
        };
        let http = config.services.iter().filter(|service| service.kind == Kind::Http);
        let services: Vec<_> = http.map(compile).collect();
        let tcp = config.services.iter().filter(|service| service.kind == Kind::Tcp);
        let tcp = TcpServices::new(tcp.map(compile));
        let by_name: HashMap<_, _> = services
            .iter()
            .map(|service| (service.declared.name.clone(), service.clone()))
            .collect();
        let mut hosts = HostTable::default();
        let mut by_url: HashMap<_, Vec<_>> = HashMap::new();
        for service in &services {
            for host in &service.declared.hosts {
                hosts.insert(host, service.clone());
            }
            for (host, port) in service.declared.upstreams.iter().filter_map(Upstream::host_port) {
                let at_port = by_url.entry(port).or_default();
                at_port.push((host.to_owned(), service.clone()));
            }
        }
        let mut plans = Plans::new();
        let before = previous.map(|previous| &previous.plans);
        let routes = RouteTable::new(config.routes.iter().filter_map(|route| {
            let target = compile_target(route, &by_name, &mut plans, before, with)?;
            Some(Routed { route: route.clone(), target })
        }));
        let snapshot = Self {
            forward: Arc::new(ForwardPolicy::new(&config.proxy, own)),
            limits: config.proxy.limits,
            trust: config.proxy.trust.clone(),
            everything: Everything(mocks.everything()),
            config,
            credentials,
            services,
            tcp,
            by_name,
            by_url,
            hosts,
            routes,
            answers_browsers: false,
            governs_mocks: false,
            secret_queries: Vec::new(),
            plans,
            kept,
        };
        let snapshot = snapshot.looked_over();
        snapshot.forget_what_is_gone();
        snapshot
    }

    /// With what requests need to know of all services at once.
    fn looked_over(self) -> Self {
        let of_services = self.services.iter().map(|service| &service.plan);
        let all = of_services.chain(self.plans.values());
        let governings: Vec<_> = all.filter_map(|plan| plan.governing.as_ref()).collect();
        let answers_browsers = governings.iter().any(|governing| governing.cors.is_some());
        let auths = governings.iter().filter_map(|governing| governing.auth.as_ref());
        let secret: BTreeSet<_> =
            auths.flat_map(|auth| auth.queries()).map(str::to_owned).collect();
        let secret_queries = secret.into_iter().collect();
        let governed =
            |service: &Arc<Service>| service.mock.is_some() && service.plan.governing.is_some();
        let governs_mocks = self.services.iter().any(governed);
        Self { answers_browsers, governs_mocks, secret_queries, ..self }
    }

    /// Lets go of what only policies of earlier configurations have kept.
    fn forget_what_is_gone(&self) {
        let of_services = self.services.iter().map(|service| &service.plan);
        let breakers: HashSet<_> = of_services
            .chain(self.plans.values())
            .filter_map(|plan| plan.governing.as_ref()?.breaker.as_ref())
            .map(|breaker| breaker.id().clone())
            .collect();
        self.kept.breakers.retain(|id| breakers.contains(id));
        self.kept.limiters.retain();
    }

    /// The routes to a service that have policies of their own, in file order.
    pub fn route_plans(&self, service: &Service, now: Instant) -> Vec<RoutePlan> {
        let mut plans = Vec::new();
        for routed in self.routes.all() {
            let RouteTarget::Services(_, targets) = &routed.target else { continue };
            let is_own = |target: &&Target| {
                target.service.declared.name == service.declared.name
                    && !Arc::ptr_eq(&target.plan, &service.plan)
            };
            plans.extend(targets.iter().filter(is_own).map(|target| RoutePlan {
                route: routed.route.clone(),
                id: target.plan.id.clone(),
                state: target.plan.view(now),
            }));
        }
        plans
    }

    /// Hands the numbers of all plans to the metrics facade.
    pub(crate) fn publish_plans(&self) {
        let mut bulkheads = BTreeSet::new();
        for service in &self.services {
            service.plan.publish(&service.declared.name, None, &mut bulkheads);
        }
        for plan in self.plans.values() {
            // `service@route`.
            let service = plan.id.split('@').next().unwrap_or_default();
            let base = self.service(service).map(|service| &*service.plan);
            plan.publish(service, base, &mut bulkheads);
        }
        self.kept.gauges.told(bulkheads);
    }

    /// The breakers of all services and routes.
    pub fn breakers(&self) -> &Arc<Breakers> {
        &self.kept.breakers
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(name)
    }

    /// The service with policies whose mock has this path.
    pub(crate) fn governed_mock(&self, method: &Method, path: &str) -> Option<&Arc<Service>> {
        if !self.governs_mocks {
            return None;
        }
        let service = self.service(self.everything.0.whose(method, path)?);
        service.filter(|service| service.plan.governing.is_some())
    }

    /// The service whose url is at this authority. `localhost` and loopback addresses are one host.
    pub(crate) fn by_url(&self, target: Authority<'_>) -> Option<&Arc<Service>> {
        let at_port = self.by_url.get(&target.port.unwrap_or(80))?;
        at_port.iter().find(|(host, _)| same_host(host, target.host)).map(|(_, service)| service)
    }

    /// Whether a peer may set x-forwarded-*, forwarded and x-stitch-* headers.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trust.iter().any(|rule| rule.matches_address(peer))
    }
}

/// Whether two hosts are one: `localhost` and loopback addresses are.
pub(crate) fn same_host(one: &str, other: &str) -> bool {
    let loopback = |host: &str| {
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| NetClass::of(ip) == NetClass::Loopback)
    };
    one.eq_ignore_ascii_case(other) || loopback(one) && loopback(other)
}

/// `None` for a service that is not HTTP; the loader has refused that already.
fn compile_target(
    route: &Route,
    services: &HashMap<Arc<str>, Arc<Service>>,
    plans: &mut Plans,
    before: Option<&Plans>,
    with: Compiling<'_>,
) -> Option<RouteTarget> {
    Some(match &route.action {
        RouteAction::Redirect { .. } => RouteTarget::Redirect,
        RouteAction::Respond(respond) => RouteTarget::Respond(Respond::new(respond)),
        RouteAction::Stitch => RouteTarget::Stitch,
        RouteAction::Services { targets, .. } => {
            let mut sum = 0;
            let mut weighted = Vec::with_capacity(targets.len());
            for target in targets {
                let weight = u64::from(target.weight);
                let service = services.get(&target.service)?.clone();
                let plan = compile_plan(route, &service, plans, before, with);
                sum += weight;
                weighted.push(Target { weight, service, plan });
            }
            RouteTarget::Services(sum.max(1), weighted)
        }
    })
}

/// The policies along a route: the service's own unless the route writes some.
fn compile_plan(
    route: &Route,
    service: &Service,
    plans: &mut Plans,
    before: Option<&Plans>,
    with: Compiling<'_>,
) -> Arc<Plan> {
    if route.policies.is_empty() && route.timeout == TimeoutOverrides::default() {
        return service.plan.clone();
    }
    let name = format!("{}@{}", service.declared.name, slug(route.matches.path.as_str()));
    let unused = |id: &String| !plans.contains_key(id.as_str());
    // Two routes may have one path; those before keep their ids.
    let id: Arc<str> = std::iter::once(name.clone())
        .chain((2..).map(|number| format!("{name}-{number}")))
        .find(unused)
        .unwrap_or(name)
        .into();
    let policies = route.policies.over(&service.declared.policies);
    let before = before.and_then(|plans| plans.get(&id)).map(|plan| &**plan);
    let plan = Arc::new(Plan::compile(&Blueprint {
        with,
        id: id.clone(),
        service: &service.declared.name,
        timeouts: route.timeout.over(service.declared.timeout),
        written: &route.policies,
        policies: &policies,
        base: Some(&service.plan),
        previous: before,
        edits: &service.state.edits,
    }));
    plans.insert(id, plan.clone());
    plan
}

/// A path as part of an id that can stand in a URL: `/api/users/{id}/**` is `api-users-id`.
fn slug(path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if slug.is_empty() { "all".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_path_becomes_part_of_an_id() {
        for (path, expected) in
            [("/api/users/{id}/**", "api-users-id"), ("/**", "all"), ("/A//b.json", "a-b-json")]
        {
            assert_eq!(slug(path), expected);
        }
    }
}
