//! The buckets of many keys within fixed bounds: the least recently used are forgotten.
//!
//! Shards keep the locks short and apart: one is held for a look-up and a few writes, and the
//! largest growth of a shard's table moves [`SHARD`] entries. What is forgotten starts again with a
//! full bucket, so a client that commands more keys than are kept can evade a limit by key; a limit
//! without `by` beside it cannot be evaded.

use lru::LruCache;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys of one shard, about; fewer keys than this are one shard and forgotten in exact order.
const SHARD: usize = 1024;

const MOST_SHARDS: usize = 256;

/// Values by key, up to a bound.
pub(super) struct BoundedLru {
    shards: Box<[Mutex<Shard>]>,
}

type Shard = LruCache<u64, u64, AsIs>;

impl BoundedLru {
    /// A store of at most `keys` keys, which takes memory as they come.
    pub(super) fn new(keys: usize) -> Self {
        let keys = keys.max(1);
        let shards = match keys / SHARD {
            0 => 1,
            many => many.next_power_of_two().min(MOST_SHARDS),
        };
        // Rounded down: the bound is never passed.
        let each = NonZeroUsize::new(keys / shards).unwrap_or(NonZeroUsize::MIN);
        let shard = |_| {
            let mut shard = LruCache::unbounded_with_hasher(AsIs);
            shard.resize(each);
            Mutex::new(shard)
        };
        Self { shards: (0..shards).map(shard).collect() }
    }

    /// Replaces a key's value by what `change` makes of it; an error leaves it as it was. Either way
    /// the key has been used.
    pub(super) fn update<T, E>(
        &self,
        key: u64,
        change: impl FnOnce(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let mut shard = self.shard(key);
        if let Some(value) = shard.get_mut(&key) {
            let (out, new) = change(Some(*value))?;
            *value = new;
            return Ok(out);
        }
        let (out, new) = change(None)?;
        shard.put(key, new);
        Ok(out)
    }

    /// How many keys there are now.
    pub(super) fn len(&self) -> usize {
        let length = |shard: &Mutex<Shard>| lock(shard).len();
        self.shards.iter().map(length).sum()
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        // The tables use the lowest and the seven highest bits.
        let index = usize::try_from(key >> 40).unwrap_or(0) & (self.shards.len() - 1);
        lock(&self.shards[index])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for BoundedLru {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundedLru").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct AsIs;

impl BuildHasher for AsIs {
    type Hasher = AsIsHasher;

    fn build_hasher(&self) -> AsIsHasher {
        AsIsHasher(0)
    }
}

struct AsIsHasher(u64);

impl Hasher for AsIsHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::hash::RandomState;

    /// Sets the key's value and says what it was.
    fn set(lru: &BoundedLru, key: u64, value: u64) -> Option<u64> {
        let out: Result<_, Infallible> = lru.update(key, |old| Ok((old, value)));
        out.unwrap()
    }

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let lru = BoundedLru::new(2);
        assert_eq!(set(&lru, 1, 10), None);
        assert_eq!(set(&lru, 2, 20), None);
        assert_eq!(set(&lru, 1, 11), Some(10));
        assert_eq!(set(&lru, 3, 30), None, "pushes out 2");
        assert_eq!(set(&lru, 1, 12), Some(11));
        assert_eq!(set(&lru, 2, 21), None);
        assert_eq!(lru.len(), 2);
    }

    #[test]
    fn an_error_changes_nothing_but_counts_as_use() {
        let lru = BoundedLru::new(2);
        set(&lru, 1, 10);
        set(&lru, 2, 20);
        assert_eq!(lru.update(1, |_| Err::<((), u64), _>("no")), Err("no"));
        set(&lru, 3, 30);
        assert_eq!(set(&lru, 1, 11), Some(10), "2 was older");
        assert_eq!(lru.update(9, Err::<((), u64), _>), Err(None));
        assert_eq!(lru.len(), 2, "an unknown key that is refused is not kept");
    }

    /// Bytes that the entries take: a node of four words each, and a table of two words and a byte
    /// per place, of which seven eighths can be taken, in powers of two.
    fn bytes(lru: &BoundedLru) -> usize {
        const NODE: usize = 4 * size_of::<u64>();
        const PLACE: usize = 2 * size_of::<usize>() + 1;
        let table = |keys: usize| (keys * 8).div_ceil(7).next_power_of_two() * PLACE;
        let shard = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.len() * NODE + table(shard.cap().get())
        };
        lru.shards.iter().map(shard).sum()
    }

    #[test]
    fn a_million_keys_stay_within_the_bound_and_its_memory() {
        let lru = BoundedLru::new(100_000);
        let hasher = RandomState::new();
        for key in 0..1_000_000_u64 {
            set(&lru, hasher.hash_one(key), key);
        }
        assert!((95_000..=100_000).contains(&lru.len()), "{} keys", lru.len());
        assert_eq!(lru.shards.iter().map(|shard| lock(shard).cap().get()).sum::<usize>(), 99_968);
        assert!(bytes(&lru) <= 100_000 * 72, "{} bytes", bytes(&lru));
        let recent = (990_000..1_000_000_u64).filter(|key| {
            lru.update(hasher.hash_one(key), |old| old.map_or(Ok(((), 0)), Err)).is_err()
        });
        assert_eq!(recent.count(), 10_000, "those used last are all there");
    }

    #[test]
    fn threads_lose_no_update() {
        // Over all shards.
        let spread = |key: u64| (key << 40) | key;
        let lru = BoundedLru::new(10_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for turn in 0..20_000_u64 {
                        let key = spread(turn % 64);
                        let out: Result<(), Infallible> =
                            lru.update(key, |old| Ok(((), old.unwrap_or(0) + 1)));
                        out.unwrap();
                    }
                });
            }
        });
        let counted: u64 = (0..64_u64).filter_map(|key| set(&lru, spread(key), 0)).sum();
        assert_eq!(counted, 80_000);
    }
}
