//! Who is checked: one task per endpoint of every service that says `health.every`, through reloads
//! and changes of addresses.

use super::ask::Trouble;
use super::check::Question;
use super::record::Record;
use crate::policy::health::{Change, Thresholds, pause_after};
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::upstream::{Endpoint, EndpointSet};
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use metrics::Gauge;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// Checks that may be under way at once; others wait for their turn.
const AT_ONCE: usize = 64;
/// How often sets are asked for endpoints that came or went by themselves.
const LOOK: Duration = Duration::from_secs(1);

/// The checkers of every endpoint. Dropping it ends them.
#[derive(Debug, Default)]
pub struct Checks(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    services: HashMap<Arc<str>, Checked>,
    /// Share of well endpoints by service and name of the endpoint.
    gauges: HashMap<(Arc<str>, String), Gauge>,
    /// Follows sets whose endpoints change.
    looking: Option<AbortOnDropHandle<()>>,
}

/// A service whose endpoints are checked.
struct Checked {
    rules: Arc<Rules>,
    endpoints: HashMap<u64, Checker>,
}

/// How the endpoints of a service are checked.
struct Rules {
    service: Arc<str>,
    question: Question,
    every: Duration,
    thresholds: Thresholds,
    /// The set in force.
    set: ArcSwap<EndpointSet>,
    turns: Arc<Semaphore>,
}

struct Checker {
    endpoint: Arc<Endpoint>,
    record: Arc<Record>,
    _life: AbortOnDropHandle<()>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { state: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Checks {
    /// Checks what a snapshot says from now on; to be called whenever one was put in force, within the
    /// runtime that is to do it. Endpoints that stayed keep their checkers, and what is known of them.
    pub fn follow(&self, snapshot: &Snapshot) {
        self.follow_services(snapshot.services.iter().chain(snapshot.tcp.iter()).map(|one| &**one));
    }

    fn follow_services<'s>(&self, services: impl Iterator<Item = &'s Service>) {
        let wanted: HashMap<_, _> = services
            .filter_map(|service| Some((service.declared.name.clone(), self.rules(service)?)))
            .collect();
        let mut state = self.0.state();
        state.services.retain(|name, checked| {
            let stays = wanted.contains_key(name);
            if !stays {
                checked.release();
            }
            stays
        });
        for (name, rules) in wanted {
            match state.services.get_mut(&name) {
                Some(checked) => checked.change(rules),
                None => {
                    let checked = Checked { rules: Arc::new(rules), endpoints: HashMap::new() };
                    state.services.insert(name, checked);
                }
            }
        }
        state.services.values_mut().for_each(Checked::look);
        if state.services.is_empty() {
            state.looking = None;
        } else if state.looking.is_none() {
            let looking = tokio::spawn(keep_looking(Arc::downgrade(&self.0)));
            state.looking = Some(AbortOnDropHandle::new(looking));
        }
    }

    fn rules(&self, service: &Service) -> Option<Rules> {
        let check = service.declared.health_check.as_ref()?;
        Some(Rules {
            service: service.declared.name.clone(),
            question: Question {
                probe: check.probe.clone(),
                limit: check.timeout,
                proxy_protocol: service.declared.proxy_protocol,
            },
            every: check.every,
            thresholds: Thresholds { healthy: check.healthy, unhealthy: check.unhealthy },
            set: ArcSwap::new(service.endpoints.clone()),
            turns: self.0.turns.clone(),
        })
    }

    /// Checks nothing any more, and leaves everything as it is: programs that are being stopped are not
    /// news.
    pub fn end(&self) {
        let mut state = self.0.state();
        state.services.clear();
        state.looking = None;
    }

    /// Hands the state of every endpoint to the metrics facade; called before they are scraped.
    pub fn publish(&self) {
        let mut state = self.0.state();
        let mut shares: HashMap<(Arc<str>, String), (u32, u32)> = HashMap::new();
        for (name, checked) in &state.services {
            for checker in checked.endpoints.values() {
                let key = (name.clone(), checker.endpoint.to_string());
                let (well, all) = shares.entry(key).or_default();
                *well += u32::from(checker.record.is_well());
                *all += 1;
            }
        }
        state.gauges.retain(|key, gauge| {
            let stays = shares.contains_key(key);
            if !stays {
                // A series cannot be taken back, and 0 would say that something is wrong.
                gauge.set(f64::NAN);
            }
            stays
        });
        for (key, (well, all)) in shares {
            let gauge = state.gauges.entry(key).or_insert_with_key(|(service, endpoint)| {
                metrics::gauge!("stitch_endpoint_healthy",
                    "service" => service.to_string(), "endpoint" => endpoint.clone())
            });
            gauge.set(f64::from(well) / f64::from(all));
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.state().services.keys()).finish()
    }
}

async fn keep_looking(checks: Weak<Inner>) {
    loop {
        sleep(LOOK).await;
        let Some(checks) = checks.upgrade() else { return };
        checks.state().services.values_mut().for_each(Checked::look);
    }
}

impl Checked {
    /// Begins with endpoints that are new in the set, and ends with those that are gone.
    fn look(&mut self) {
        let set = self.rules.set.load();
        let all = set.all();
        self.endpoints.retain(|id, checker| {
            let stays = all.iter().any(|endpoint| endpoint.id == *id);
            if !stays {
                checker.endpoint.health.store(None);
            }
            stays
        });
        for endpoint in all.iter() {
            let rules = &self.rules;
            self.endpoints.entry(endpoint.id).or_insert_with(|| {
                let record = Arc::new(Record::new(&rules.service, endpoint));
                endpoint.health.store(Some(record.clone()));
                Checker::start(endpoint.clone(), record, rules)
            });
        }
    }

    /// Takes over what the file says now.
    fn change(&mut self, rules: Rules) {
        let Rules { question, every, thresholds, .. } = &*self.rules;
        let same_question = question.probe == rules.question.probe;
        let same =
            *question == rules.question && (*every, *thresholds) == (rules.every, rules.thresholds);
        if same {
            self.rules.set.store(rules.set.into_inner());
            return;
        }
        self.rules = Arc::new(rules);
        for checker in self.endpoints.values_mut() {
            if !same_question {
                checker.record.ask_anew();
            }
            let (endpoint, record) = (checker.endpoint.clone(), checker.record.clone());
            *checker = Checker::start(endpoint, record, &self.rules);
        }
    }

    /// Nobody will say any more that those that are down are well again.
    fn release(&self) {
        let set = self.rules.set.load();
        for (id, checker) in &self.endpoints {
            checker.endpoint.health.store(None);
            if !checker.record.is_well() {
                set.mark_well(*id, true, Instant::now());
            }
        }
    }
}

impl Checker {
    fn start(endpoint: Arc<Endpoint>, record: Arc<Record>, rules: &Arc<Rules>) -> Self {
        let life = tokio::spawn(check_on(endpoint.clone(), record.clone(), rules.clone()));
        Self { endpoint, record, _life: AbortOnDropHandle::new(life) }
    }
}

/// Checks one endpoint until nobody wants to know any more.
async fn check_on(endpoint: Arc<Endpoint>, record: Arc<Record>, rules: Arc<Rules>) {
    loop {
        // Never closed, so there is always a turn.
        let turn = rules.turns.acquire().await;
        let begun = Instant::now();
        let result = rules.question.put_to(&endpoint).await;
        drop(turn);
        rules.hear(&endpoint, &record, result);
        sleep(pause_after(begun.elapsed(), rules.every, fastrand::f64())).await;
    }
}

impl Rules {
    /// Takes in a result, and has the set act on it.
    fn hear(&self, endpoint: &Endpoint, record: &Record, result: Result<(), Trouble>) {
        let error = result.as_ref().err().map(|trouble| trouble.why.clone());
        let (change, well) = record.hear(result, self.thresholds);
        if change.is_some() || error.is_none() && well {
            self.set.load().mark_well(endpoint.id, well, Instant::now());
        }
        let Some(Change { well, in_a_row }) = change else { return };
        let after = match in_a_row {
            1 => "1 check".to_owned(),
            several => format!("{several} checks in a row"),
        };
        let (service, why) = (&self.service, error.unwrap_or_default());
        match well {
            true => tracing::info!("{service} at {endpoint} is healthy again ({after})"),
            false => tracing::warn!("{service} at {endpoint} is unhealthy: {why} ({after})"),
        }
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
