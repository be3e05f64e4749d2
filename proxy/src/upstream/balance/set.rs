//! The endpoints of one service: who of them is fit, and which one gets the next request.

use super::condition::Fitness;
use super::group::Group;
use super::in_flight::InFlight;
use super::key::key_of;
use super::ready::Ready;
use super::told::{News, tell};
use super::view::{EndpointState, EndpointView};
use crate::cookies::{cookie, set_cookie};
use crate::policy::eject;
use crate::upstream::names::Name;
use crate::upstream::{Endpoint, Tls};
use arc_swap::{ArcSwap, Guard};
use http::{HeaderMap, HeaderValue};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;
use stitch_config::model::{Balance, Eject, Policies, Upstream};
use tokio::time::Instant;

/// What a request asks of a set.
pub struct Ask<'a> {
    /// Hash of what `balance: hash:…` asks for, if the request has it.
    pub key: Option<u64>,
    /// Value of the cookie that `balance: sticky:…` names.
    pub sticky: Option<&'a str>,
    /// Endpoints that this request tried already; used again only if nothing else is left.
    pub avoid: &'a [u64],
    /// The time.
    pub now: Instant,
    /// Gives a number below its argument.
    pub draw: &'a mut dyn FnMut(u64) -> u64,
}

/// Where a request goes.
#[derive(Debug)]
pub struct Picked {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Counts the request until it is dropped.
    pub in_flight: InFlight,
    /// Value of the cookie that the answer has to set, for `balance: sticky:…`.
    pub cookie: Option<String>,
}

/// What the file says about choosing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    pub(super) balance: Balance,
    pub(super) slow_start: Option<Duration>,
    pub(super) eject: Option<Eject>,
}

impl Rules {
    /// How long an ejected endpoint is out, and how long the request that tries it may take.
    pub(super) fn patience(&self) -> Duration {
        self.eject.unwrap_or_default().lasts
    }
}

/// All endpoints of a service.
pub struct EndpointSet {
    service: Arc<str>,
    pub(super) rules: Rules,
    /// The urls in the order of the file, and who stands for each.
    groups: Mutex<Vec<Group>>,
    /// Everybody of them.
    members: ArcSwap<Vec<Arc<Endpoint>>>,
    ready: ArcSwap<Ready>,
    pub(super) shared: Arc<Shared>,
}

/// What the sets of one service share: a request keeps the set that it began with over a reload, and
/// what it finds out counts in the set that came after.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Rises with every change of an endpoint's fitness.
    version: AtomicU64,
    /// Held by who changes something, and never by who only picks.
    change: Mutex<()>,
    /// Requests in flight on all endpoints, where the algorithm asks.
    pub(super) total: Arc<AtomicUsize>,
    /// Turns that `round_robin` has given.
    pub(super) turn: AtomicU64,
    /// How often each address was ejected.
    ejections: Mutex<BTreeMap<String, u64>>,
}

impl EndpointSet {
    /// The endpoints of a service as its policies want them chosen. State of its predecessor is
    /// taken over.
    pub fn new(
        service: Arc<str>,
        declared: impl IntoIterator<Item = (Upstream, Option<Tls>)>,
        policies: &Policies,
        previous: Option<&Self>,
        now: Instant,
    ) -> Self {
        let rules = Rules {
            balance: policies.balance.get().cloned().unwrap_or_default(),
            slow_start: policies.slow_start.get().copied(),
            eject: policies.eject.get().copied(),
        };
        let shared = previous.map(|previous| previous.shared.clone()).unwrap_or_default();
        let mut kept = previous.map(|previous| previous.groups().clone()).unwrap_or_default();
        let is_first = kept.is_empty();
        let keep = |(upstream, tls): (Upstream, Option<Tls>)| match kept
            .iter()
            .position(|group| group.is(&upstream, tls.as_ref()))
        {
            Some(position) => kept.swap_remove(position),
            None => {
                let group = Group::new(upstream, tls);
                if !is_first {
                    group.endpoints().for_each(|endpoint| endpoint.condition.warm_up(now));
                }
                group
            }
        };
        let groups: Vec<_> = declared.into_iter().map(keep).collect();
        let members: Vec<_> = groups.iter().flat_map(Group::endpoints).cloned().collect();
        let ejected = previous.is_some_and(|previous| previous.rules.eject.is_some());
        if ejected && rules.eject.is_none() {
            for member in &members {
                if member.condition.ejected_until().is_some() {
                    tell(&service, member, News::Pardoned);
                }
                member.condition.forgive();
            }
            shared.version.fetch_add(1, Ordering::AcqRel);
        }
        let version = shared.version.load(Ordering::Acquire);
        let ready = Ready::new(&members, &rules, version, None, now);
        Self {
            service,
            rules,
            groups: Mutex::new(groups),
            members: ArcSwap::from_pointee(members),
            ready: ArcSwap::from_pointee(ready),
            shared,
        }
    }

    /// Every endpoint, those included that are not fit.
    pub fn all(&self) -> Guard<Arc<Vec<Arc<Endpoint>>>> {
        self.members.load()
    }

    /// The names that may have several addresses.
    pub(crate) fn names(&self) -> Vec<Arc<Name>> {
        self.groups().iter().filter_map(|group| group.name.clone()).collect()
    }

    /// What a name resolves to now.
    pub(crate) fn resolved(&self, host: &str, addresses: &[IpAddr], now: Instant) {
        self.change(now, |_| {
            let mut groups = self.groups();
            let of_name =
                |group: &&mut Group| group.name.as_ref().is_some_and(|name| name.is(host));
            let mut changed = false;
            for group in groups.iter_mut().filter(of_name) {
                changed |= group.resolved(addresses, |added| added.condition.warm_up(now));
            }
            if changed {
                let members = groups.iter().flat_map(Group::endpoints).cloned().collect();
                self.members.store(Arc::new(members));
            }
            changed
        });
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has nobody checked any longer: what checks found is forgotten.
    pub(crate) fn unchecked(&self, now: Instant) {
        let unwell = |one: &&Arc<Endpoint>| one.condition.unwell.load(Ordering::Acquire);
        for endpoint in self.all().iter().filter(unwell) {
            self.mark_well(endpoint.id, true, now);
        }
    }

    /// How endpoints are chosen: tells what a request has to say.
    pub fn balance(&self) -> &Balance {
        &self.rules.balance
    }

    /// What [`Ask`] wants to know of a request: its key and its cookie. `path` gives what a variable
    /// of the route's path holds.
    pub fn affinity<'h, 'p>(
        &self,
        headers: &'h HeaderMap,
        client: Option<IpAddr>,
        path: impl FnOnce(&str) -> Option<&'p [u8]>,
    ) -> (Option<u64>, Option<&'h str>) {
        match &self.rules.balance {
            Balance::Hash(what) => (key_of(what, headers, client, path), None),
            Balance::Sticky(name) => (None, cookie(headers, name)),
            _ => (None, None),
        }
    }

    /// The `Set-Cookie` for what was picked.
    pub fn set_cookie(&self, picked: &str) -> Option<HeaderValue> {
        match &self.rules.balance {
            Balance::Sticky(name) => set_cookie(name, picked),
            _ => None,
        }
    }

    /// What the API says of each endpoint.
    pub fn view(&self, now: Instant) -> Vec<EndpointView> {
        let alone = self.ready_at(now).alone;
        let view = |endpoint: &Arc<Endpoint>| EndpointView::of(endpoint, &self.rules, alone, now);
        self.all().iter().map(view).collect()
    }

    /// Hands counters and states to the metrics facade.
    pub fn publish(&self, service: &Arc<str>, now: Instant) {
        let all = self.all();
        if all.is_empty() {
            return;
        }
        let states: Vec<_> =
            all.iter().map(|endpoint| EndpointState::of(endpoint, &self.rules, now)).collect();
        for state in EndpointState::ALL {
            let count = states.iter().filter(|one| **one == state).count();
            metrics::gauge!("stitch_endpoints", "service" => service.clone(), "state" => state.as_str())
                .set(count as f64);
        }
        let ejections = self.shared.ejections.lock().unwrap_or_else(PoisonError::into_inner);
        for (endpoint, count) in &*ejections {
            let (service, endpoint) = (service.clone(), endpoint.clone());
            metrics::counter!("stitch_endpoint_ejections_total", "service" => service, "endpoint" => endpoint)
                .absolute(*count);
        }
    }

    /// Whether the service has no real endpoint.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// The endpoint of a set of one that is fit and stays so: nothing to balance, nothing to count,
    /// no clock to read.
    pub fn only(&self) -> Option<Arc<Endpoint>> {
        let ready = self.ready.load();
        let version = self.shared.version.load(Ordering::Acquire);
        let current = ready.version == version && ready.due.is_none();
        ready.fit.first().filter(|_| ready.alone && current).cloned()
    }

    /// The endpoint for a request; `None` if none is fit.
    pub fn pick(&self, mut ask: Ask<'_>) -> Option<Picked> {
        let ready = self.ready_at(ask.now);
        if ready.alone {
            // Nothing to balance, nothing to count.
            let (endpoint, in_flight) = (ready.fit.first()?.clone(), InFlight::default());
            return Some(Picked { endpoint, in_flight, cookie: None });
        }
        let choice = ready.choose(&self.rules, &self.shared, &mut ask)?;
        let endpoint = choice.endpoint.clone();
        let in_flight = InFlight::on(endpoint.clone(), self.total(), choice.probe);
        let sticky = choice.is_new && matches!(self.rules.balance, Balance::Sticky(_));
        let cookie = sticky.then(|| format!("{:016x}", endpoint.token()));
        Some(Picked { endpoint, in_flight, cookie })
    }

    /// Another address of the name of an endpoint that cannot be connected to; `None` when all have
    /// been tried. That the one could not be is taken into account.
    pub fn pick_beside(&self, down: &Endpoint, tried: &[u64], now: Instant) -> Option<Picked> {
        if self.rules.eject.is_some() {
            self.observe(down, Duration::ZERO, true, now);
        }
        let members = self.all();
        let others = members.iter().filter(|one| one.is_beside(down) && !tried.contains(&one.id));
        let endpoint = others.min_by_key(|one| {
            let fit = one.condition.fitness(now) == Fitness::Fit;
            (!fit, one.condition.in_flight.load(Ordering::Relaxed))
        })?;
        let sticky = matches!(self.rules.balance, Balance::Sticky(_));
        Some(Picked {
            endpoint: endpoint.clone(),
            in_flight: InFlight::on(endpoint.clone(), self.total(), 0),
            cookie: sticky.then(|| format!("{:016x}", endpoint.token())),
        })
    }

    fn total(&self) -> Option<Arc<AtomicUsize>> {
        matches!(self.rules.balance, Balance::Hash(_)).then(|| self.shared.total.clone())
    }

    /// What health checks found. To be told after each check that passes: that ends an ejection too.
    pub fn mark_well(&self, id: u64, well: bool, now: Instant) {
        let Some(endpoint) = self.find(id) else { return };
        let condition = &endpoint.condition;
        let was_well = !condition.unwell.load(Ordering::Acquire);
        if was_well == well && (!well || condition.ejected_until().is_none()) {
            return;
        }
        let mut was_out = false;
        self.change(now, |_| {
            condition.unwell.store(!well, Ordering::Release);
            if well {
                was_out = condition.ejected_until().is_some();
                take_back(&endpoint, now);
            }
            true
        });
        if was_out {
            tell(&self.service, &endpoint, News::Checked);
        }
    }

    /// Takes an endpoint out, whatever the limits of `eject` say, or back in.
    pub fn eject(&self, id: u64, out: bool, now: Instant) {
        let Some(endpoint) = self.find(id) else { return };
        self.change(now, |_| match out {
            true => self.put_out(&endpoint, now),
            false => endpoint.condition.ejected_until().is_some() && take_back(&endpoint, now),
        });
    }

    /// What became of a call that was sent to an endpoint, `took` after it began.
    pub fn observe(&self, endpoint: &Endpoint, took: Duration, failed: bool, now: Instant) {
        let condition = &endpoint.condition;
        condition.observe_latency(took, failed, now);
        let doubted = condition.failures.load(Ordering::Relaxed) > 0;
        if !failed && !doubted && condition.ejected_until().is_none() {
            return;
        }
        let began = condition.stamp(now).saturating_sub(nanos(took));
        if began < condition.ejected_at.load(Ordering::Acquire) {
            return;
        }
        let Some(endpoint) = self.find(endpoint.id) else { return };
        if !failed && condition.ejected_until().is_none() {
            condition.failures.store(0, Ordering::Relaxed);
            return;
        }
        let failures = match failed {
            true => condition.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            false => 0,
        };
        let enough = self.rules.eject.is_some_and(|policy| failures >= policy.consecutive);
        if failed && !enough && condition.ejected_until().is_none() {
            return;
        }
        let (mut news, lasts) = (None, self.rules.patience());
        self.change(now, |members| {
            news = match condition.fitness(now) {
                Fitness::Fit if failed && self.may_eject(members, endpoint.id, now) => {
                    Some(News::Failed(failures, lasts))
                }
                Fitness::Probing if failed => Some(News::FailedAgain(lasts)),
                Fitness::Probing => Some(News::Tried),
                Fitness::Fit | Fitness::Unwell | Fitness::Ejected => None,
            };
            match news {
                None => false,
                Some(News::Tried) => take_back(&endpoint, now),
                Some(_) => self.put_out(&endpoint, now),
            }
        });
        if let Some(news) = news {
            tell(&self.service, &endpoint, news);
        }
    }

    fn may_eject(&self, members: &[Arc<Endpoint>], id: u64, now: Instant) -> bool {
        let Some(policy) = &self.rules.eject else { return false };
        let out = members.iter().filter(|one| one.condition.ejected_until().is_some()).count();
        let fit = |one: &&Arc<Endpoint>| one.id != id && one.condition.fitness(now) == Fitness::Fit;
        let others_fit = members.iter().filter(fit).count();
        eject::may_eject(policy, members.len(), out, others_fit)
    }

    fn put_out(&self, endpoint: &Endpoint, now: Instant) -> bool {
        let condition = &endpoint.condition;
        let lasts = self.rules.patience();
        condition.ejected_at.store(condition.stamp(now), Ordering::Release);
        condition.ejected_until.store(condition.stamp(now + lasts), Ordering::Release);
        condition.probe.store(0, Ordering::Release);
        let mut ejections = self.shared.ejections.lock().unwrap_or_else(PoisonError::into_inner);
        *ejections.entry(endpoint.to_string()).or_default() += 1;
        true
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Endpoint>> {
        self.all().iter().find(|endpoint| endpoint.id == id).cloned()
    }

    /// Changes something if need be, and has the picks that follow see it.
    fn change(&self, now: Instant, change: impl FnOnce(&[Arc<Endpoint>]) -> bool) {
        let held = self.shared.change.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&self.all()) {
            self.shared.version.fetch_add(1, Ordering::AcqRel);
            self.rebuild(&held, now);
        }
    }

    fn rebuild(&self, _held: &MutexGuard<'_, ()>, now: Instant) {
        let version = self.shared.version.load(Ordering::Acquire);
        let ready = Ready::new(&self.all(), &self.rules, version, Some(&self.ready.load()), now);
        self.ready.store(Arc::new(ready));
    }

    /// The list to pick from. Who finds it outdated makes it anew, and nobody waits for that.
    pub(super) fn ready_at(&self, now: Instant) -> Guard<Arc<Ready>> {
        let current = |ready: &Ready| {
            ready.version == self.shared.version.load(Ordering::Acquire)
                && ready.due.is_none_or(|due| now < due)
        };
        let ready = self.ready.load();
        if current(&ready) {
            return ready;
        }
        let held = match self.shared.change.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return ready,
        };
        if !current(&self.ready.load()) {
            self.rebuild(&held, now);
        }
        self.ready.load()
    }
}

impl fmt::Debug for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().iter().map(ToString::to_string)).finish()
    }
}

fn take_back(endpoint: &Endpoint, now: Instant) -> bool {
    endpoint.condition.forgive();
    endpoint.condition.warm_up(now);
    true
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
