//! A set of endpoints on invented time.

use crate::upstream::Tls;
use crate::upstream::balance::hash as hash_of;
use crate::upstream::balance::{Ask, EndpointSet, InFlight, Picked};
use std::time::Duration;
use stitch_config::model::{Balance, Eject, HashKey, Policies, Setting, Upstream};
use tokio::time::Instant;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Lab {
    pub(super) set: EndpointSet,
    pub(super) upstreams: Vec<(Upstream, Option<Tls>)>,
    pub(super) ids: Vec<u64>,
    pub(super) now: Instant,
    pub(super) random: fastrand::Rng,
}

impl Lab {
    pub(super) fn new(weights: &[u32], policies: &Policies) -> Self {
        let upstream = |port: usize, weight: &u32| Upstream {
            weight: *weight,
            ..Upstream::http("127.0.0.1", 1000 + port as u16)
        };
        let upstreams = weights.iter().enumerate().map(|(port, weight)| upstream(port, weight));
        Self::of(upstreams, policies)
    }

    pub(super) fn of(upstreams: impl Iterator<Item = Upstream>, policies: &Policies) -> Self {
        let upstreams: Vec<_> = upstreams.map(|upstream| (upstream, None)).collect();
        let now = Instant::now();
        let set = EndpointSet::new("users".into(), upstreams.clone(), policies, None, now);
        let mut lab =
            Self { set, upstreams, ids: Vec::new(), now, random: fastrand::Rng::with_seed(7) };
        lab.count();
        lab
    }

    pub(super) fn count(&mut self) {
        self.ids = self.set.all().iter().map(|member| member.id).collect();
    }

    /// The file was written anew; returns the set that it replaces.
    pub(super) fn reload(&mut self, policies: &Policies) -> EndpointSet {
        let after = EndpointSet::new(
            "users".into(),
            self.upstreams.clone(),
            policies,
            Some(&self.set),
            self.now,
        );
        let before = std::mem::replace(&mut self.set, after);
        self.count();
        before
    }

    pub(super) fn pick(&mut self, avoid: &[usize]) -> Option<(usize, InFlight)> {
        let avoid: Vec<_> = avoid.iter().map(|index| self.ids[*index]).collect();
        let picked = self.set.pick(Ask {
            key: None,
            sticky: None,
            avoid: &avoid,
            now: self.now,
            draw: &mut |below| self.random.u64(..below),
        })?;
        let index = self.ids.iter().position(|id| *id == picked.endpoint.id).unwrap();
        Some((index, picked.in_flight))
    }

    pub(super) fn hits(&mut self, picks: usize) -> Vec<usize> {
        let mut hits = vec![0; self.ids.len()];
        for _ in 0..picks {
            hits[self.pick(&[]).unwrap().0] += 1;
        }
        hits
    }

    pub(super) fn well(&self, index: usize, well: bool) {
        self.set.mark_well(self.ids[index], well, self.now);
    }

    pub(super) fn observe(&self, index: usize, failed: bool) {
        let endpoint = self.set.find(self.ids[index]).unwrap();
        self.set.observe(&endpoint, Duration::ZERO, failed, self.now);
    }
}

pub(super) fn eject(max: f64) -> Policies {
    let eject = Eject { consecutive: 3, lasts: 10 * SECOND, max };
    Policies { eject: Setting::On(eject), ..Policies::default() }
}

pub(super) fn balance(balance: Balance) -> Policies {
    Policies { balance: Setting::On(balance), ..Policies::default() }
}

impl Lab {
    pub(super) fn pick_key(&mut self, key: usize, avoid: &[usize]) -> (usize, InFlight) {
        let key = Some(hash_of(&key.to_le_bytes()));
        let avoid: Vec<_> = avoid.iter().map(|index| self.ids[*index]).collect();
        let (now, draw) = (self.now, &mut |_| 0);
        let picked = self.set.pick(Ask { key, sticky: None, avoid: &avoid, now, draw }).unwrap();
        (self.ids.iter().position(|id| *id == picked.endpoint.id).unwrap(), picked.in_flight)
    }

    pub(super) fn pick_cookie(&mut self, sticky: Option<&str>, avoid: &[u64]) -> Picked {
        let draw = &mut |below| self.random.u64(..below);
        self.set.pick(Ask { key: None, sticky, avoid, now: self.now, draw }).unwrap()
    }
}

/// Whether shares are those of the weights, within 2 %.
#[track_caller]
pub(super) fn assert_fair(hits: &[usize], weights: &[u32]) {
    let (all, sum): (usize, u32) = (hits.iter().sum(), weights.iter().sum());
    for (hits_of, weight) in hits.iter().zip(weights) {
        let due = all as f64 * f64::from(*weight) / f64::from(sum);
        assert!((*hits_of as f64 / due - 1.0).abs() < 0.02, "{hits:?} of {weights:?}");
    }
}

pub(super) fn hash() -> Policies {
    balance(Balance::Hash(HashKey::ClientIp))
}
