//! Who gets how much, whatever the algorithm; tiers and slow start.

use super::lab::{Lab, SECOND, assert_fair, balance, hash};
use crate::upstream::balance::Ask;
use crate::upstream::balance::view::EndpointState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stitch_config::model::{Balance, Policies, Setting, Upstream};

#[test]
fn nothing_to_pick_from() {
    assert!(Lab::new(&[], &Policies::default()).pick(&[]).is_none());
}

#[test]
fn weights_are_shares_of_idle_endpoints() {
    let hits = Lab::new(&[1, 3, 6], &Policies::default()).hits(100_000);
    for (hits, share) in hits.iter().zip([0.1, 0.3, 0.6]) {
        assert!((*hits as f64 / 100_000.0 / share - 1.0).abs() < 0.02, "{hits} of {share}");
    }
}

#[test]
fn the_less_loaded_of_two_gets_it() {
    let mut lab = Lab::new(&[1, 1], &Policies::default());
    let (busy, _in_flight) = lab.pick(&[]).unwrap();
    for _ in 0..100 {
        assert_eq!(lab.pick(&[]).unwrap().0, 1 - busy);
    }
}

#[test]
fn weights_are_shares_whatever_the_algorithm() {
    for weights in [&[1, 1, 1][..], &[1, 3, 6], &[100, 50, 25, 25]] {
        for algorithm in
            [Balance::LeastRequest, Balance::RoundRobin, Balance::Random, sticky_balance()]
        {
            let hits = Lab::new(weights, &balance(algorithm)).hits(100_000);
            assert_fair(&hits, weights);
        }
    }
}

fn sticky_balance() -> Balance {
    Balance::Sticky("at".to_owned())
}

#[test]
fn higher_tiers_wait_until_the_lower_one_has_nothing_left() {
    for policies in [Policies::default(), balance(Balance::RoundRobin), hash()] {
        let upstream = |(index, tier): (usize, &u8)| Upstream {
            tier: *tier,
            ..Upstream::http("10.0.0.1", 1000 + index as u16)
        };
        let tiers: [u8; 5] = [2, 1, 3, 1, 2];
        let mut lab = Lab::of(tiers.iter().enumerate().map(upstream), &policies);
        let used = |lab: &mut Lab| {
            let hits = (0..200).map(|key| lab.pick_key(key, &[]).0).fold([0; 5], |mut hits, at| {
                hits[at] += 1;
                hits
            });
            hits.map(|hits| hits > 0)
        };
        if lab.set.rules.balance == Balance::LeastRequest {
            // Draws of 0 would see one endpoint only.
            let hits = lab.hits(200);
            assert!(hits[1] > 0 && hits[3] > 0 && hits[0] + hits[2] + hits[4] == 0);
            continue;
        }
        assert_eq!(used(&mut lab), [false, true, false, true, false]);
        lab.well(1, false);
        assert_eq!(used(&mut lab), [false, false, false, true, false]);
        lab.well(3, false);
        assert_eq!(used(&mut lab), [true, false, false, false, true]);
        [0, 4].iter().for_each(|index| lab.well(*index, false));
        assert_eq!(used(&mut lab), [false, false, true, false, false]);
        lab.well(1, true);
        assert_eq!(used(&mut lab), [false, true, false, false, false]);
    }
}

#[test]
fn ewma_prefers_who_is_faster_and_less_busy() {
    let mut lab = Lab::new(&[1, 1], &balance(Balance::Ewma));
    let ms = Duration::from_millis;
    for (index, took) in [(0, ms(200)), (1, ms(40))] {
        let endpoint = lab.set.find(lab.ids[index]).unwrap();
        lab.set.observe(&endpoint, took, false, lab.now);
    }
    assert_eq!(lab.hits(1000), [0, 1000]);
    // 40 ms and five in flight are as much as 200 ms and none.
    let mut held = Vec::new();
    for _ in 0..5 {
        let (index, in_flight) = lab.pick(&[]).unwrap();
        assert_eq!(index, 1);
        held.push(in_flight);
    }
    assert_eq!(lab.pick(&[]).unwrap().0, 0);
    // Who was slow long ago is tried again.
    held.clear();
    lab.now += 60 * SECOND;
    let endpoint = lab.set.find(lab.ids[1]).unwrap();
    lab.set.observe(&endpoint, ms(40), false, lab.now);
    assert_eq!(lab.hits(100), [100, 0]);
}

#[test]
fn a_recovered_endpoint_warms_up() {
    let slow = |balance| Policies {
        slow_start: Setting::On(10 * SECOND),
        balance: Setting::On(balance),
        ..Policies::default()
    };
    for algorithm in [Balance::LeastRequest, Balance::RoundRobin, Balance::Random] {
        let mut lab = Lab::new(&[1, 1], &slow(algorithm));
        assert_fair(&lab.hits(40_000), &[1, 1]);
        lab.well(0, false);
        lab.now += SECOND;
        lab.well(0, true);
        assert_fair(&lab.hits(60_000), &[2, 20]);
        assert_eq!(lab.set.view(lab.now)[0].state, EndpointState::Warming);
        lab.now += 5 * SECOND;
        assert_fair(&lab.hits(60_000), &[11, 20]);
        lab.now += 5 * SECOND;
        assert_fair(&lab.hits(40_000), &[1, 1]);
        assert_eq!(lab.set.view(lab.now)[0].state, EndpointState::Ready);
    }
}

#[test]
fn who_is_added_warms_up_and_who_is_there_at_the_start_does_not() {
    let policies = Policies { slow_start: Setting::On(10 * SECOND), ..Policies::default() };
    let mut lab = Lab::new(&[1], &policies);
    lab.upstreams.push((Upstream::http("10.0.0.9", 9), None));
    lab.now += SECOND;
    lab.reload(&policies);
    assert_fair(&lab.hits(60_000), &[20, 2]);
}

#[test]
fn round_robin_is_exact_over_cycles_from_several_threads() {
    let lab = Lab::new(&[5, 2, 1], &balance(Balance::RoundRobin));
    let hits: Vec<_> = (0..3).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let (now, draw) = (lab.now, &mut |_| 0);
                    let ask = Ask { key: None, sticky: None, avoid: &[], now, draw };
                    let picked = lab.set.pick(ask).unwrap();
                    let at = lab.ids.iter().position(|id| *id == picked.endpoint.id).unwrap();
                    hits[at].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let hits: Vec<_> = hits.iter().map(|hits| hits.load(Ordering::Relaxed)).collect();
    assert_eq!(hits, [5000, 2000, 1000]);
}
