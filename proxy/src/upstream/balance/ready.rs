//! The endpoints that are fit, prepared so that picking one of them looks at two at most.

use super::alias::Alias;
use super::condition::Fitness;
use super::key::token_of;
use super::ring::Ring;
use super::schedule::schedule;
use super::set::{Ask, Rules, Shared};
use crate::upstream::Endpoint;
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stitch_config::model::Balance;
use tokio::time::Instant;

/// A warming endpoint's share grows in steps of 5 %, from 10 %.
const STEPS: u32 = 20;
const FIRST_STEP: u32 = 2;
/// No endpoint on a ring gets more than this times its share of the requests in flight.
const BALANCE_FACTOR: f32 = 1.25;
/// Places that a key looks at per endpoint of its ring before it takes what it has seen.
const FAR: usize = 64;

/// What picks read; made anew after each change.
#[derive(Debug)]
pub(super) struct Ready {
    /// The change that it includes.
    pub(super) version: u64,
    /// When time alone will have changed something.
    pub(super) due: Option<Instant>,
    /// Those that are fit, of the best tier that has any.
    pub(super) fit: Box<[Arc<Endpoint>]>,
    /// Whether there is no other endpoint at all.
    pub(super) alone: bool,
    /// Those that one request at a time may try.
    pub(super) probing: Box<[Arc<Endpoint>]>,
    /// The mean weight over each one's weight.
    scales: Box<[f32]>,
    alias: Alias,
    /// For `round_robin`.
    schedule: Box<[u32]>,
    /// For `sticky`: who is meant by a cookie.
    tokens: HashMap<u64, usize>,
    /// For `hash`.
    ring: Option<Arc<Ring>>,
    /// What each member of the ring is to this list.
    marks: Box<[Mark]>,
}

/// A member of the ring.
#[derive(Clone, Copy, Debug)]
enum Mark {
    /// Fit; its position among those.
    Fit(usize),
    Probing,
    Out,
}

/// What was chosen.
pub(super) struct Choice<'r> {
    pub(super) endpoint: &'r Arc<Endpoint>,
    /// Its turn, if it is one that was ejected.
    pub(super) probe: u64,
    /// Whether a client that is to stay has to be told.
    pub(super) is_new: bool,
}

impl Ready {
    pub(super) fn new(
        members: &[Arc<Endpoint>],
        rules: &Rules,
        version: u64,
        before: Option<&Self>,
        now: Instant,
    ) -> Self {
        let of = |fitness| {
            let mut some: Vec<_> =
                members.iter().filter(|member| member.condition.fitness(now) == fitness).collect();
            some.sort_by_key(|member| member.tier);
            some
        };
        let (mut fit, mut probing) = (of(Fitness::Fit), of(Fitness::Probing));
        if let Some(best) = fit.first().map(|best| best.tier) {
            fit.retain(|member| member.tier == best);
            probing.retain(|member| member.tier <= best);
        }
        let warmth: Vec<_> = fit.iter().map(|member| warmth(member, rules, now)).collect();
        let back = members.iter().filter_map(|member| member.condition.ejected_until());
        let back = back.filter(|at| *at > now);
        let warmer = warmth.iter().filter_map(|(_, due)| *due);
        let weights: Vec<u64> = fit
            .iter()
            .zip(&warmth)
            .map(|(member, (steps, _))| u64::from(member.weight.max(1)) * u64::from(*steps))
            .collect();
        let tier = fit.first().or(probing.first()).map_or(1, |best| best.tier);
        let ring = matches!(rules.balance, Balance::Hash(_)).then(|| {
            let tier: Vec<_> = members.iter().filter(|member| member.tier == tier).collect();
            let kept = before.and_then(|before| before.ring.clone());
            kept.filter(|ring| ring.is_of(&tier)).unwrap_or_else(|| Arc::new(Ring::new(&tier)))
        });
        let fits = fit.iter().zip(0..).map(|(member, position)| (member.id, Mark::Fit(position)));
        let probes = probing.iter().map(|member| (member.id, Mark::Probing));
        let marks: HashMap<_, _> = match ring {
            Some(_) => fits.chain(probes).collect(),
            None => HashMap::new(),
        };
        let mark = |member: &Arc<Endpoint>| marks.get(&member.id).copied().unwrap_or(Mark::Out);
        let marks = ring.iter().flat_map(|ring| ring.members.iter().map(mark)).collect();
        let tokens = match rules.balance {
            Balance::Sticky(_) => fit.iter().map(|member| member.token()).zip(0..).collect(),
            _ => HashMap::new(),
        };
        let mean = weights.iter().sum::<u64>() as f64 / weights.len().max(1) as f64;
        Self {
            version,
            alone: members.len() == 1 && fit.len() == 1 && tokens.is_empty(),
            schedule: match rules.balance {
                Balance::RoundRobin => schedule(&weights),
                _ => Box::default(),
            },
            tokens,
            ring,
            marks,
            due: back.chain(warmer).min(),
            scales: weights.iter().map(|weight| (mean / *weight as f64) as f32).collect(),
            alias: Alias::new(&weights),
            fit: fit.into_iter().cloned().collect(),
            probing: probing.into_iter().cloned().collect(),
        }
    }

    /// An endpoint for a request.
    pub(super) fn choose(
        &self,
        rules: &Rules,
        shared: &Shared,
        ask: &mut Ask<'_>,
    ) -> Option<Choice<'_>> {
        let fresh = ask.avoid.is_empty() || self.fit.iter().any(|one| !ask.avoid.contains(&one.id));
        if !fresh {
            ask.avoid = &[];
        }
        let patience = rules.patience();
        // A request that failed already is not made to try what may fail too.
        let may_probe = ask.avoid.is_empty() && fresh || self.fit.is_empty();
        // Nobody would come back to a better tier if all requests had their place in this one.
        if may_probe
            && self.is_second_best()
            && let Some(probe) = self.probe(patience, ask.now)
        {
            return Some(probe);
        }
        match (&rules.balance, ask.key, ask.sticky) {
            (Balance::Hash(_), Some(key), _) => {
                return self.by_key(key, shared, may_probe.then_some(patience), ask);
            }
            (Balance::Sticky(_), _, Some(cookie)) => {
                let named = token_of(cookie).and_then(|token| self.tokens.get(&token));
                let named = named.and_then(|index| self.fit.get(*index));
                if let Some(endpoint) = named.filter(|one| !ask.avoid.contains(&one.id)) {
                    return Some(Choice { endpoint, probe: 0, is_new: false });
                }
            }
            _ => {}
        }
        if may_probe && let Some(probe) = self.probe(patience, ask.now) {
            return Some(probe);
        }
        let index = match rules.balance {
            _ if self.fit.len() < 2 => 0,
            _ if !ask.avoid.is_empty() => self.another(rules, ask),
            Balance::RoundRobin => self.in_turn(&shared.turn),
            Balance::Random => self.alias.draw(ask.draw),
            Balance::Ewma => self.faster(self.alias.draw(ask.draw), ask),
            Balance::LeastRequest | Balance::Hash(_) | Balance::Sticky(_) => {
                self.less_loaded(self.alias.draw(ask.draw), ask)
            }
        };
        self.fit.get(index).map(|endpoint| Choice { endpoint, probe: 0, is_new: true })
    }

    /// Whether there is a better tier that may be fit again.
    fn is_second_best(&self) -> bool {
        match (self.probing.first(), self.fit.first()) {
            (Some(probing), Some(fit)) => probing.tier < fit.tier,
            _ => false,
        }
    }

    /// Takes the turn of trying an endpoint that was ejected.
    fn probe(&self, patience: Duration, now: Instant) -> Option<Choice<'_>> {
        self.probing.iter().find_map(|endpoint| {
            let probe = endpoint.condition.try_probe(now, patience)?;
            Some(Choice { endpoint, probe, is_new: true })
        })
    }

    /// The endpoint next to a key that is fit and has no more to do than its share allows.
    fn by_key(
        &self,
        key: u64,
        shared: &Shared,
        patience: Option<Duration>,
        ask: &Ask<'_>,
    ) -> Option<Choice<'_>> {
        let ring = self.ring.as_ref()?;
        let all = shared.total.load(Ordering::Relaxed);
        let mut over = None;
        // Nobody is far away, unless most are out or nearly all are full.
        for member in ring.from(key).take(FAR * ring.members.len()) {
            match self.marks.get(member).copied().unwrap_or(Mark::Out) {
                Mark::Out => {}
                Mark::Probing => {
                    let probing = ring.members.get(member)?;
                    let try_it = |patience| probing.condition.try_probe(ask.now, patience);
                    if let Some(probe) = patience.and_then(try_it) {
                        let endpoint = self.probing.iter().find(|one| one.id == probing.id)?;
                        return Some(Choice { endpoint, probe, is_new: true });
                    }
                }
                Mark::Fit(index) => {
                    let endpoint = self.fit.get(index)?;
                    if ask.avoid.contains(&endpoint.id) {
                        continue;
                    }
                    if self.in_flight(index) < self.bound(index, all) {
                        return Some(Choice { endpoint, probe: 0, is_new: true });
                    }
                    over.get_or_insert(index);
                }
            }
        }
        let endpoint = self.fit.get(over.unwrap_or(0))?;
        Some(Choice { endpoint, probe: 0, is_new: true })
    }

    /// The most requests that one may have in flight with `all` on all of them, and one more to come.
    fn bound(&self, index: usize, all: usize) -> usize {
        let share = (all as f32 + 1.0) / (self.scale(index) * self.fit.len() as f32);
        (share * BALANCE_FACTOR).ceil() as usize
    }

    /// Who is next.
    fn in_turn(&self, turn: &AtomicU64) -> usize {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let turn = turn.checked_rem(self.schedule.len() as u64).unwrap_or(0);
        self.schedule.get(turn as usize).map_or(0, |index| *index as usize)
    }

    /// The first one unless it is busy and another one less so. Those that are idle are taken as
    /// drawn: otherwise the light ones would never get their share of little traffic.
    fn less_loaded(&self, one: usize, ask: &mut Ask<'_>) -> usize {
        if self.in_flight(one) == 0 {
            return one;
        }
        let two = self.other(one, ask);
        if self.load(two) < self.load(one) { two } else { one }
    }

    fn faster(&self, one: usize, ask: &mut Ask<'_>) -> usize {
        let two = self.other(one, ask);
        let latency = |index: usize| {
            self.fit.get(index).map_or(0.0, |member| member.condition.latency(ask.now))
        };
        let (first, second) = (latency(one), latency(two));
        let other = match (self.in_flight(one), self.in_flight(two)) {
            (0, 0) => second < first,
            (0, _) if first <= second => false,
            _ => second * self.load(two) < first * self.load(one),
        };
        if other { two } else { one }
    }

    /// One that is not to be avoided, if there is any.
    fn another(&self, rules: &Rules, ask: &mut Ask<'_>) -> usize {
        let avoid = ask.avoid;
        let fresh: Vec<usize> = (0..self.fit.len())
            .filter(|index| self.fit.get(*index).is_some_and(|one| !avoid.contains(&one.id)))
            .collect();
        if fresh.is_empty() {
            return self.less_loaded(self.alias.draw(ask.draw), ask);
        }
        let weight = |index: &usize| (1e6 / f64::from(self.scale(*index))) as u64;
        let alias = Alias::new(&fresh.iter().map(weight).collect::<Vec<_>>());
        let mut one = || fresh.get(alias.draw(ask.draw)).copied().unwrap_or(0);
        let (one, two) = (one(), one());
        let busy = rules.balance != Balance::Random && self.in_flight(one) > 0;
        if busy && self.load(two) < self.load(one) { two } else { one }
    }

    /// A second one to compare with.
    fn other(&self, one: usize, ask: &mut Ask<'_>) -> usize {
        let two = self.alias.draw(ask.draw);
        if two != one {
            return two;
        }
        let others = self.fit.len() as u64 - 1;
        (one + 1 + (ask.draw)(others) as usize) % self.fit.len()
    }

    fn in_flight(&self, index: usize) -> usize {
        self.fit.get(index).map_or(0, |one| one.condition.in_flight.load(Ordering::Relaxed))
    }

    fn scale(&self, index: usize) -> f32 {
        self.scales.get(index).copied().unwrap_or(1.0)
    }

    /// Requests per unit of weight, were one more to come.
    fn load(&self, index: usize) -> f32 {
        (self.in_flight(index) as f32 + 1.0) * self.scale(index)
    }
}

/// How many steps of its weight an endpoint gets, and when there will be more.
fn warmth(member: &Endpoint, rules: &Rules, now: Instant) -> (u32, Option<Instant>) {
    let since = member.condition.warming_since();
    let (Some(over), Some(since)) = (rules.slow_start.filter(|over| !over.is_zero()), since) else {
        return (STEPS, None);
    };
    let step = over / (STEPS - FIRST_STEP);
    let passed = now.saturating_duration_since(since).as_nanos() / step.max(TICK).as_nanos();
    let passed = u32::try_from(passed).unwrap_or(u32::MAX).min(STEPS - FIRST_STEP);
    let due = (passed < STEPS - FIRST_STEP).then(|| since + step.max(TICK) * (passed + 1));
    (FIRST_STEP + passed, due)
}

/// No step is shorter.
const TICK: Duration = Duration::from_millis(1);

/// Whether an endpoint does not have its whole weight yet.
pub(super) fn is_warming(member: &Endpoint, rules: &Rules, now: Instant) -> bool {
    warmth(member, rules, now).0 < STEPS
}
