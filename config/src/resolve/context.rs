//! What every part of the resolution needs, and the order in which the parts run.

use super::policies::{self, Owner};
use super::{checks, claims::Claims, fit, graph, mirror, proxy, route, service, timeouts};
use crate::data::Data;
use crate::decode::{At, Wrong};
use crate::model::{Config, Kind, Policies, Timeouts};
use crate::near;
use crate::place::Sources;
use crate::problem::{Problem, Report};
use crate::raw::{RawFile, RawRoute, RawService};
use crate::yaml::Spot;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// All files as one: the settings of the first, and what the others add.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) file: PathBuf,
    pub(crate) main: RawFile,
    pub(crate) vars: Vec<(At<String>, Data)>,
    pub(crate) services: Vec<(At<String>, At<RawService>)>,
    pub(crate) routes: Vec<At<RawRoute>>,
}

/// The state of one resolution.
pub(super) struct Context<'a> {
    pub(super) sources: &'a Sources,
    pub(super) report: &'a mut Report,
    /// Every declared service and what it is.
    pub(super) services: BTreeMap<String, Kind>,
    /// What `defaults` say.
    pub(super) timeout: Timeouts,
    /// What `defaults` say.
    pub(super) policies: Policies,
    /// The timers of every HTTP service.
    pub(super) timeouts: BTreeMap<String, Timeouts>,
    /// How many routes there were of each path.
    pub(super) routes: HashMap<String, usize>,
    /// What `defaults` say.
    pub(super) health: checks::Inherited,
    pub(super) claims: Claims,
    pub(super) calls: graph::Calls,
    pub(super) mirrors: mirror::Mirrors,
}

impl Context<'_> {
    pub(super) fn push(&mut self, problem: Problem) {
        self.report.push(problem);
    }

    /// The value, or a report of what is wrong with it.
    pub(super) fn check<T>(
        &mut self,
        spot: &Spot,
        result: Result<T, impl Into<Wrong>>,
    ) -> Option<T> {
        result.map_err(|wrong| self.report.push(wrong.into().at(spot.place, &spot.path))).ok()
    }

    /// What the declared service of that name is.
    pub(super) fn find_service(&mut self, name: &At<impl AsRef<str>>) -> Option<Kind> {
        let text = name.value.as_ref();
        let known = self.services.get(text).copied();
        if known.is_none() {
            let names = self.services.keys().map(String::as_str);
            let hint = near::suggest("services", text, names);
            self.report.push(name.spot.error(format!("unknown service {text:?}")).hint(hint));
        }
        known
    }
}

impl AsRef<str> for crate::decode::Word {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The configuration as meant.
pub(crate) fn resolve(merged: Merged, sources: &Sources, report: &mut Report) -> Config {
    let Merged { file, main, vars, services, routes } = merged;
    let names =
        services.iter().map(|(name, raw)| (name.value.clone(), fit::kind(&raw.value))).collect();
    let mut context = Context {
        sources,
        report,
        services: names,
        timeout: Timeouts::default(),
        policies: Policies::default(),
        timeouts: BTreeMap::new(),
        routes: HashMap::default(),
        health: checks::Inherited::default(),
        claims: Claims::default(),
        calls: graph::Calls::default(),
        mirrors: mirror::Mirrors::default(),
    };
    let cx = &mut context;
    if let Some(At { value: mut defaults, .. }) = main.defaults {
        if let Some(timeout) = defaults.timeout.take() {
            cx.timeout = timeouts::merge(cx, timeouts::read(timeout));
        }
        if let Some(health) = &defaults.health {
            cx.health = checks::defaults(cx, health);
        }
        cx.policies = policies::resolve(cx, defaults.take_policies(), &Owner::Defaults);
    }
    let proxy = proxy::resolve(cx, main.proxy.as_ref().map(|proxy| &proxy.value));
    let services = services
        .into_iter()
        .map(|(name, raw)| Arc::new(service::resolve(cx, &name, raw, &proxy)))
        .collect();
    let routes = routes
        .into_iter()
        .enumerate()
        .filter_map(|(index, raw)| route::resolve(cx, index + 1, raw).map(Arc::new))
        .collect();
    let claims = std::mem::take(&mut cx.claims);
    claims.check(cx);
    let calls = std::mem::take(&mut cx.calls);
    calls.check(
        cx,
        "services depend on each other in a circle",
        "remove one of these from \"depends_on\"; calls may still go both ways",
    );
    let mirrors = std::mem::take(&mut cx.mirrors);
    mirrors.check(cx);
    Config {
        file,
        seed: main.seed.map(|seed| seed.value),
        vars: vars.into_iter().map(|(name, value)| (name.value, value)).collect(),
        proxy,
        events: main.events.map(|events| events.value.0).unwrap_or_default(),
        services,
        routes,
    }
}
