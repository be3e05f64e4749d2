//! `hash` and `sticky`: what stays where it is.

use super::lab::{Lab, assert_fair, balance, hash};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::Ordering;
use stitch_config::model::{Balance, HashKey, Policies, Upstream};

fn sticky() -> Policies {
    balance(Balance::Sticky("at".to_owned()))
}

#[test]
fn keys_are_spread_by_weight() {
    for weights in [&[1; 5][..], &[1, 3, 6], &[100, 200, 100]] {
        let mut lab = Lab::new(weights, &hash());
        let mut hits = vec![0; weights.len()];
        (0..100_000).for_each(|key| hits[lab.pick_key(key, &[]).0] += 1);
        assert_fair(&hits, weights);
    }
}

#[test]
fn only_the_keys_of_who_leaves_move() {
    const KEYS: usize = 20_000;
    for n in [3_usize, 10, 30] {
        let upstream = |index: usize| Upstream::http("10.0.0.1", 1000 + index as u16);
        let mut all = Lab::of((0..n).map(upstream), &hash());
        // It left the file; the others stand elsewhere in it.
        let mut fewer = Lab::of((0..n - 1).rev().map(upstream), &hash());
        let before: Vec<_> = (0..KEYS).map(|key| all.pick_key(key, &[]).0).collect();
        let after = (0..KEYS).map(|key| n - 2 - fewer.pick_key(key, &[]).0);
        let moved = before.iter().zip(after).filter(|(before, after)| *before != after);
        let moved: Vec<_> = moved.collect();
        assert!(moved.iter().all(|(before, _)| **before == n - 1), "others moved too");
        let most = 1.2 / n as f64 * KEYS as f64;
        assert!(!moved.is_empty() && (moved.len() as f64) < most, "{} of {n}", moved.len());

        // The same when it is only unwell; and back.
        all.well(n - 1, false);
        for (key, before) in before.iter().enumerate() {
            let now = all.pick_key(key, &[]).0;
            assert!(now == *before || *before == n - 1);
            assert_ne!(now, n - 1);
        }
        all.well(n - 1, true);
        assert!((0..KEYS).all(|key| all.pick_key(key, &[]).0 == before[key]));
    }
}

#[test]
fn one_hot_key_is_shared_once_its_endpoint_has_more_than_its_share() {
    let mut lab = Lab::new(&[1, 1, 1, 1], &hash());
    let mut held = Vec::new();
    let mut hits = [0_usize; 4];
    for all in 1..=1000_usize {
        let (index, in_flight) = lab.pick_key(7, &[]);
        held.push(in_flight);
        hits[index] += 1;
        let bound = (all as f64 / 4.0 * 1.25).ceil() as usize;
        assert!(hits.iter().all(|hits| *hits <= bound), "{hits:?} with {all}");
    }
    held.clear();
    let again: Vec<_> = (0..10).map(|_| lab.pick_key(7, &[]).0).collect();
    assert!(again.iter().all(|index| *index == again[0]));
    assert_eq!(lab.set.shared.total.load(Ordering::Relaxed), 0);
}

#[test]
fn a_key_whose_endpoint_failed_goes_to_the_next_one() {
    let mut lab = Lab::new(&[1; 3], &hash());
    let first = lab.pick_key(1, &[]).0;
    let second = lab.pick_key(1, &[first]).0;
    assert_ne!(first, second);
    let third = lab.pick_key(1, &[first, second]).0;
    assert!(third != first && third != second);
    assert_eq!(lab.pick_key(1, &[0, 1, 2]).0, first);
}

#[test]
fn an_address_that_is_declared_twice_is_two_endpoints() {
    let twice = || std::iter::repeat_n(Upstream::http("10.0.0.1", 80), 2);
    let mut lab = Lab::of(twice(), &hash());
    let hits = (0..1000).filter(|key| lab.pick_key(*key, &[]).0 == 0).count();
    assert!((300..700).contains(&hits), "{hits}");
}

#[test]
fn a_cookie_keeps_its_client_where_it_is() {
    let mut lab = Lab::new(&[1; 4], &sticky());
    let first = lab.pick_cookie(None, &[]);
    let cookie = first.cookie.unwrap();
    assert_eq!(cookie.len(), 16);
    for _ in 0..100 {
        let again = lab.pick_cookie(Some(&cookie), &[]);
        assert!(again.endpoint.id == first.endpoint.id && again.cookie.is_none());
    }
    let unknown = lab.pick_cookie(Some("0123456789abcdef"), &[]);
    assert!(unknown.cookie.is_some());
    let elsewhere = lab.pick_cookie(Some(&cookie), &[first.endpoint.id]);
    assert!(elsewhere.endpoint.id != first.endpoint.id && elsewhere.cookie.is_some());

    lab.set.mark_well(first.endpoint.id, false, lab.now);
    let other = lab.pick_cookie(Some(&cookie), &[]);
    assert!(other.endpoint.id != first.endpoint.id && other.cookie != Some(cookie));
}

#[test]
fn a_cookie_means_an_address_and_no_position() {
    let upstream = |index: usize| Upstream::http("10.0.0.1", 1000 + index as u16);
    let mut here = Lab::of((0..5).map(upstream), &sticky());
    let mut there = Lab::of((0..5).rev().map(upstream), &sticky());
    let first = here.pick_cookie(None, &[]);
    let again = there.pick_cookie(first.cookie.as_deref(), &[]);
    assert_eq!(first.endpoint.address, again.endpoint.address);
    let mut only = Lab::new(&[1], &sticky());
    assert!(only.pick_cookie(None, &[]).cookie.is_some());
}

#[test]
fn what_a_request_says_is_read_as_the_set_asks() {
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from_static("u1"));
    headers.insert("cookie", HeaderValue::from_static("at=00000000000000ff"));
    let of = |algorithm| {
        let lab = Lab::new(&[1, 1], &balance(algorithm));
        let (key, sticky) = lab.set.affinity(&headers, None, |_| Some(b"u1"));
        (key, sticky.map(str::to_owned), lab.set.set_cookie("00000000000000ff"))
    };
    let name = HeaderName::from_static("x-user");
    let (header, _, _) = of(Balance::Hash(HashKey::Header(name)));
    let (path, _, _) = of(Balance::Hash(HashKey::Path("id".to_owned())));
    assert!(header.is_some() && header == path);
    let (none, sticky, cookie) = of(Balance::Sticky("at".to_owned()));
    assert_eq!((none, sticky.as_deref()), (None, Some("00000000000000ff")));
    assert_eq!(cookie.unwrap(), "at=00000000000000ff; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(of(Balance::RoundRobin), (None, None, None));
}
