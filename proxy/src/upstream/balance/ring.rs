//! The ring of `balance: hash:…`: who is next to a key, and who after them.

use crate::upstream::Endpoint;
use hashbrown::HashMap;
use pingora_ketama::{Bucket, Continuum};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Each unit of weight stands at 128 x 160 places, which makes shares even to about 1 %.
const UNIT: u64 = 128;
/// Bound of the units on a ring. Beyond it there are 16 times fewer places for everybody, so the
/// steps are far apart: keys move at them.
const MOST: u64 = 8192;
/// Keys fall into so many slots; the same number everywhere, or else keys would move.
const SLOTS: u32 = 1 << 18;

/// Endpoints on a ring, those that are not fit too: their keys go to who comes next, and come back.
pub(super) struct Ring {
    /// Where each slot of keys begins to look: searching the ring for each request would cost more
    /// than all the rest.
    slots: Box<[u32]>,
    /// Whose each place is.
    places: Box<[u16]>,
    pub(super) members: Box<[Arc<Endpoint>]>,
    /// What each of them was called when the ring was made.
    tokens: Box<[u64]>,
}

impl Ring {
    /// At most 65 535 endpoints have a place.
    pub(super) fn new(members: &[&Arc<Endpoint>]) -> Self {
        let members = members.get(..usize::from(u16::MAX)).unwrap_or(members);
        let sum: u64 = members.iter().map(|member| u64::from(member.weight) * UNIT).sum();
        let mut shift = 0;
        while sum >> shift > MOST {
            shift += 4;
        }
        let (mut buckets, mut index) = (Vec::with_capacity(members.len()), HashMap::new());
        let tokens: Box<[u64]> = members.iter().map(|member| member.token()).collect();
        for ((position, member), token) in (0_u16..).zip(members).zip(&tokens) {
            // One that is declared twice has two places, not one that is shared.
            let node = (0..).map(|nth| node(*token, nth)).find(|n| !index.contains_key(n));
            let Some(node) = node else { continue };
            index.insert(node, position);
            let units = (u64::from(member.weight) * UNIT) >> shift;
            buckets.push(Bucket::new(node, u32::try_from(units).unwrap_or(u32::MAX).max(1)));
        }
        // What two share is given to one of them: to the same one, in whatever order they stand.
        buckets.sort_unstable();
        let continuum = Continuum::new(&buckets);
        let (mut places, mut at) = (Vec::new(), 0);
        while let Some(node) = continuum.get_addr(&mut at) {
            places.push(index.get(node).copied().unwrap_or(0));
            if at == 0 {
                break;
            }
        }
        let members = members.iter().map(|member| (*member).clone()).collect();
        let slot = |slot: u32| continuum.node_idx(&slot.to_le_bytes()) as u32;
        Self { slots: (0..SLOTS).map(slot).collect(), places: places.into(), members, tokens }
    }

    /// Whether it is the ring of these.
    pub(super) fn is_of(&self, members: &[&Arc<Endpoint>]) -> bool {
        let now = members.iter().map(|one| (one.id, one.token()));
        let then = self.members.iter().zip(&self.tokens).map(|(one, token)| (one.id, *token));
        then.eq(now)
    }

    /// Members (by position) in the order in which a key asks them, some of them several times.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let slot = key % u64::from(SLOTS);
        let begin = self.slots.get(slot as usize).map_or(0, |begin| *begin as usize);
        let (before, after) = self.places.split_at(begin.min(self.places.len()));
        after.iter().chain(before).map(|place| usize::from(*place))
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} places)", self.places.len())
    }
}

/// The ring wants addresses; all that matters is that they are different and stay the same.
fn node(token: u64, nth: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(u128::from(token))), nth)
}
