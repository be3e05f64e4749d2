//! The table by itself: its bound, what it forgets, and a plain model over random histories.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Spreads small numbers over sets and shards (SplitMix64), the same ones in every run.
fn hash(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sets the key's value and says what it was.
fn set(table: &BoundedTable, key: u64, value: u64) -> Option<u64> {
    let out: Result<_, Infallible> = table.update(key, |old| Ok((old, value)));
    out.unwrap()
}

/// A key's value; one that is unknown stays unknown.
fn get(table: &BoundedTable, key: u64) -> Option<u64> {
    table.update(key, Err::<((), u64), _>).unwrap_err()
}

#[test]
fn the_smallest_value_is_forgotten() {
    let table = BoundedTable::new(2);
    assert_eq!(set(&table, 1, 50), None);
    assert_eq!(set(&table, 2, 20), None);
    assert_eq!(set(&table, 3, 30), None, "drives out 2");
    assert_eq!(set(&table, 4, 40), None, "drives out 3, and not 1, which is older");
    let left = [1, 2, 3, 4].map(|key| get(&table, key));
    assert_eq!(left, [Some(50), None, None, Some(40)]);
    assert_eq!(set(&table, 5, 10), None, "finds a place however small its value");
    assert_eq!([get(&table, 1), get(&table, 5)], [Some(50), Some(10)]);
}

#[test]
fn an_error_changes_nothing() {
    let table = BoundedTable::new(2);
    set(&table, 1, 10);
    set(&table, 2, 20);
    assert_eq!(table.update(1, |_| Err::<((), u64), _>("no")), Err("no"));
    assert_eq!(table.update(9, Err::<((), u64), _>), Err(None));
    assert_eq!(table.len(), 2, "an unknown key that is refused is not kept");
    assert_eq!([get(&table, 1), get(&table, 2)], [Some(10), Some(20)]);
}

#[test]
fn a_key_or_a_value_of_0_is_no_empty_slot() {
    let table = BoundedTable::new(3);
    assert_eq!(get(&table, 0), None);
    for key in [0, 2, 3] {
        assert_eq!(set(&table, key, 0), None, "{key} has a place of its own");
    }
    assert_eq!([0, 2, 3].map(|key| get(&table, key)), [Some(0); 3]);
    assert_eq!(table.len(), 3);
}

#[test]
fn every_bound_is_kept_and_used() {
    for bound in (1..=40).chain([100, 1000, 1023, 1024, 2047, 2048, 100_000]) {
        let table = BoundedTable::new(bound);
        for number in 0..20 * u64::try_from(bound).unwrap() {
            set(&table, hash(number), number);
            assert!(number % 256 > 0 || table.len() <= bound);
        }
        let unused = if bound < 2048 { 0 } else { bound / 1000 };
        assert!((bound - unused..=bound).contains(&table.len()), "{} of {bound}", table.len());
    }
    assert_eq!(BoundedTable::new(0).sets, 1, "at least one key has a place");
}

#[test]
fn a_million_keys_stay_within_the_bound_and_its_memory() {
    let table = BoundedTable::new(100_000);
    for number in 0..1_000_000 {
        set(&table, hash(number), number);
    }
    assert_eq!(table.len(), 99_968, "every slot of every set and shard");
    let bytes = table.shards.len() * table.sets * size_of::<[Slot; WAYS]>();
    assert!(bytes <= 100_000 * 17, "{bytes} bytes");
    let last = (990_000..1_000_000).filter(|number| get(&table, hash(*number)).is_some());
    assert_eq!(last.count(), 10_000, "the largest values are all there");
}

#[test]
fn most_keys_find_room_although_sets_fill_unevenly() {
    for (keys, kept) in [(50_000, 49_500), (100_000, 85_700)] {
        let table = BoundedTable::new(100_000);
        for number in 0..keys {
            set(&table, hash(number), number);
        }
        assert!(table.len() >= kept, "{} of {keys}", table.len());
    }
}

#[test]
fn threads_lose_no_update() {
    let table = BoundedTable::new(10_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..20_000 {
                    let out: Result<(), Infallible> =
                        table.update(hash(turn % 64), |old| Ok(((), old.unwrap_or(0) + 1)));
                    out.unwrap();
                }
            });
        }
    });
    let counted: u64 = (0..64).filter_map(|number| get(&table, hash(number))).sum();
    assert_eq!(counted, 80_000);
}

/// What is in the set of this key, with its values.
fn neighbours(table: &BoundedTable, key: u64) -> BTreeMap<u64, u64> {
    let taken = |(value, key): &Slot| (*key > 0).then_some((*key, *value));
    table.shard(key).sets[table.set(key)].iter().filter_map(taken).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

    #[test]
    fn it_is_a_map_that_forgets_the_smallest_of_a_set(
        bound in prop_oneof![1..50_usize, 2000..3000_usize],
        keys in 1..400_u64,
        asked in prop::collection::vec((any::<u64>(), 0..1000_u64, prop::bool::weighted(0.2)), 0..600),
    ) {
        let table = BoundedTable::new(bound);
        let mut model = BTreeMap::new();
        for (number, value, refused) in asked {
            let key = hash(number % keys);
            let before = neighbours(&table, key);
            let seen = table.update(key, |old| if refused { Err(old) } else { Ok((old, value)) });
            prop_assert_eq!(seen.unwrap_or_else(|old| old), model.get(&key).copied());
            if refused {
                prop_assert_eq!(neighbours(&table, key), before);
                continue;
            }
            model.insert(key, value);
            let after = neighbours(&table, key);
            let gone: Vec<_> = before.iter().filter(|(key, _)| !after.contains_key(key)).collect();
            prop_assert!(gone.len() <= 1);
            for (lost, least) in gone {
                model.remove(lost);
                let stayed = after.iter().filter(|(stayed, _)| **stayed != key);
                prop_assert!(stayed.clone().all(|(_, value)| value >= least));
                prop_assert!(stayed.count() + 1 >= table.ways, "only a set that is full forgets");
            }
            prop_assert_eq!(after.get(&key), Some(&value));
            prop_assert_eq!(table.len(), model.len());
            prop_assert!(table.len() <= bound);
        }
    }
}
