//! The endpoints that are fit, prepared so that picking one of them looks at two at most.

use super::alias::Alias;
use super::condition::Fitness;
use super::set::{Ask, Rules};
use crate::upstream::Endpoint;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stitch_config::model::Balance;
use tokio::time::Instant;

/// A warming endpoint's share grows in steps of 5 %, from 10 %.
const STEPS: u32 = 20;
const FIRST_STEP: u32 = 2;

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
}

impl Ready {
    pub(super) fn new(
        members: &[Arc<Endpoint>],
        rules: &Rules,
        version: u64,
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
        let mean = weights.iter().sum::<u64>() as f64 / weights.len().max(1) as f64;
        Self {
            version,
            alone: members.len() == 1 && fit.len() == 1,
            due: back.chain(warmer).min(),
            scales: weights.iter().map(|weight| (mean / *weight as f64) as f32).collect(),
            alias: Alias::new(&weights),
            fit: fit.into_iter().cloned().collect(),
            probing: probing.into_iter().cloned().collect(),
        }
    }

    /// One of those that are fit.
    pub(super) fn choose(&self, rules: &Rules, ask: &mut Ask<'_>) -> Option<&Arc<Endpoint>> {
        let index = match self.fit.len() {
            0 => return None,
            1 => 0,
            _ if !ask.avoid.is_empty() => self.another(rules, ask),
            _ => match rules.balance {
                Balance::Random => self.alias.draw(ask.draw),
                Balance::Ewma => self.faster(self.alias.draw(ask.draw), ask),
                _ => self.less_loaded(self.alias.draw(ask.draw), ask),
            },
        };
        self.fit.get(index)
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
pub(super) fn warmth(member: &Endpoint, rules: &Rules, now: Instant) -> (u32, Option<Instant>) {
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
