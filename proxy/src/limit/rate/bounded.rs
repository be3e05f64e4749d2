//! The buckets of many keys within fixed bounds: where there is no room, the fullest is forgotten.
//!
//! A set-associative table, as caches of processors are: a key lives in one of the few slots of its
//! set and nowhere else, so that a check touches neighbouring cache lines once, whether its key is
//! known, new, or drives out another. What is forgotten starts again with a full bucket, so a client
//! that commands more keys than are kept can evade a limit by key; a limit without `by` beside it
//! cannot be evaded.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Slots of a set at most: two cache lines.
const WAYS: usize = 8;

/// Keys of one shard, about: enough locks that threads seldom meet at one.
const SHARD: usize = 1024;

const MOST_SHARDS: usize = 256;

/// A value, and the key that it belongs to. Zeros are an empty slot: no key is 0, so it is smaller
/// than every slot that is taken. A tuple, because `vec!` has arrays and tuples of zeros from the
/// allocator as they are, and memory that the system gave is taken only where it is written.
type Slot = (u64, u64);

/// Values by key, up to a bound. A value says when a bucket will be full.
///
/// A set that is full forgets its smallest value. That bucket is the fullest and loses least, nothing
/// at all if its time has passed. With a burst of at least 2, a key that is being limited has an
/// emptier one than any fresh key: however many of these come, they drive out one another before it,
/// where the least recently used would be forgotten between two of its requests. With a burst of 1
/// all buckets are as empty, and whoever took its token first goes first.
pub(super) struct BoundedTable {
    shards: Box<[Mutex<Shard>]>,
    /// Sets of each shard.
    sets: usize,
    /// Slots of a set that are used.
    ways: usize,
    /// So many sets, the first ones, use one slot more.
    wider: usize,
}

struct Shard {
    sets: Box<[[Slot; WAYS]]>,
    /// Slots that are not empty.
    taken: usize,
}

impl BoundedTable {
    /// A store of at most `keys` keys.
    pub(super) fn new(keys: usize) -> Self {
        let keys = keys.max(1);
        let shards = match keys / SHARD {
            0 => 1,
            many => many.next_power_of_two().min(MOST_SHARDS),
        };
        // Rounded down: the bound is never passed.
        let each = keys / shards;
        let sets = each.div_ceil(WAYS);
        let shard = |_| {
            let sets = vec![[(0, 0); WAYS]; sets].into();
            Mutex::new(Shard { sets, taken: 0 })
        };
        let shards = (0..shards).map(shard).collect();
        Self { shards, sets, ways: each / sets, wider: each % sets }
    }

    /// Replaces a key's value by what `change` makes of it; an error leaves it as it was, and an
    /// unknown key unknown.
    pub(super) fn update<T, E>(
        &self,
        key: u64,
        change: impl FnOnce(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        // Keys are hashes: that two of them meet is as unlikely with 0 and 1 as with any others.
        let key = key.max(1);
        let index = self.set(key);
        let ways = self.ways + usize::from(index < self.wider);
        let mut shard = self.shard(key);
        let Shard { sets, taken } = &mut *shard;
        let slot = find(&mut sets[index][..ways], key);
        let (value, owner) = *slot;
        let (out, value) = change((owner == key).then_some(value))?;
        *slot = (value, key);
        *taken += usize::from(owner == 0);
        Ok(out)
    }

    /// How many keys there are now.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).taken).sum()
    }

    /// By the lower half of the key, spread over all sets without a division.
    fn set(&self, key: u64) -> usize {
        let sets = u64::try_from(self.sets).unwrap_or(u64::MAX);
        usize::try_from(((key & 0xffff_ffff) * sets) >> 32).unwrap_or(0)
    }

    /// By bits of the upper half: the sets of every shard are all in use.
    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(key >> 40).unwrap_or(0) & (self.shards.len() - 1);
        lock(&self.shards[index])
    }
}

/// The slot of the key, or else the one that it gets: an empty one or that of the smallest value.
fn find(set: &mut [Slot], key: u64) -> &mut Slot {
    let mut found = 0;
    for (index, slot) in set.iter().enumerate() {
        if slot.1 == key {
            found = index;
            break;
        }
        if *slot < set[found] {
            found = index;
        }
    }
    &mut set[found]
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for BoundedTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundedTable").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "bounded_tests.rs"]
mod tests;
