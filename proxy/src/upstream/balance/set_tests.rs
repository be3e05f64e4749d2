use super::*;
use stitch_config::model::{HashKey, Setting, Upstream};

const SECOND: Duration = Duration::from_secs(1);

struct Lab {
    set: EndpointSet,
    upstreams: Vec<(Upstream, Option<Tls>)>,
    ids: Vec<u64>,
    now: Instant,
    random: fastrand::Rng,
}

impl Lab {
    fn new(weights: &[u32], policies: &Policies) -> Self {
        let upstream = |port: usize, weight: &u32| Upstream {
            weight: *weight,
            ..Upstream::http("127.0.0.1", 1000 + port as u16)
        };
        let upstreams = weights.iter().enumerate().map(|(port, weight)| upstream(port, weight));
        Self::of(upstreams, policies)
    }

    fn of(upstreams: impl Iterator<Item = Upstream>, policies: &Policies) -> Self {
        let upstreams: Vec<_> = upstreams.map(|upstream| (upstream, None)).collect();
        let now = Instant::now();
        let set = EndpointSet::new(upstreams.clone(), policies, None, now);
        let mut lab =
            Self { set, upstreams, ids: Vec::new(), now, random: fastrand::Rng::with_seed(7) };
        lab.count();
        lab
    }

    fn count(&mut self) {
        self.ids = self.set.all().iter().map(|member| member.id).collect();
    }

    /// The file was written anew; returns the set that it replaces.
    fn reload(&mut self, policies: &Policies) -> EndpointSet {
        let after = EndpointSet::new(self.upstreams.clone(), policies, Some(&self.set), self.now);
        let before = std::mem::replace(&mut self.set, after);
        self.count();
        before
    }

    fn pick(&mut self, avoid: &[usize]) -> Option<(usize, InFlight)> {
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

    fn hits(&mut self, picks: usize) -> Vec<usize> {
        let mut hits = vec![0; self.ids.len()];
        for _ in 0..picks {
            hits[self.pick(&[]).unwrap().0] += 1;
        }
        hits
    }

    fn well(&self, index: usize, well: bool) {
        self.set.mark_well(self.ids[index], well, self.now);
    }

    fn observe(&self, index: usize, failed: bool) {
        let endpoint = self.set.find(self.ids[index]).unwrap();
        self.set.observe(&endpoint, Duration::ZERO, failed, self.now);
    }
}

fn eject(max: f64) -> Policies {
    let eject = Eject { consecutive: 3, lasts: 10 * SECOND, max };
    Policies { eject: Setting::On(eject), ..Policies::default() }
}

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
fn what_is_unwell_gets_nothing_and_there_is_no_panic_mode() {
    let mut lab = Lab::new(&[1, 1], &Policies::default());
    lab.well(0, false);
    assert_eq!(lab.hits(100), [0, 100]);
    lab.well(1, false);
    assert!(lab.pick(&[]).is_none());
    lab.well(0, true);
    assert_eq!(lab.hits(100), [100, 0]);
}

#[test]
fn what_was_tried_is_tried_again_only_if_nothing_else_is_left() {
    let mut lab = Lab::new(&[1, 1, 100], &Policies::default());
    for _ in 0..100 {
        assert_ne!(lab.pick(&[2]).unwrap().0, 2);
        assert_eq!(lab.pick(&[2, 0]).unwrap().0, 1);
    }
    assert!(lab.pick(&[0, 1, 2]).is_some());
}

#[test]
fn who_fails_in_a_row_is_out_until_one_request_succeeds() {
    let mut lab = Lab::new(&[1, 1], &eject(0.5));
    lab.observe(0, true);
    lab.observe(0, true);
    lab.observe(0, false);
    lab.observe(0, true);
    lab.observe(0, true);
    assert!(lab.hits(100)[0] > 0, "not in a row");
    lab.observe(0, true);
    assert_eq!(lab.hits(100), [0, 100]);
    lab.now += 9 * SECOND;
    assert_eq!(lab.hits(100), [0, 100]);

    lab.now += SECOND;
    let (probe, held) = lab.pick(&[]).unwrap();
    assert!(probe == 0 && held.is_probe());
    assert_eq!(lab.hits(100), [0, 100], "one at a time");
    lab.observe(0, true);
    assert_eq!(lab.hits(100), [0, 100], "out again");
    drop(held);

    lab.now += 10 * SECOND;
    let (probe, gone) = lab.pick(&[]).unwrap();
    assert_eq!(probe, 0);
    drop(gone);
    let (probe, held) = lab.pick(&[]).unwrap();
    assert_eq!(probe, 0, "the turn of a client that went away is given back");
    lab.observe(0, false);
    drop(held);
    assert!(lab.hits(100)[0] > 0, "back");
}

#[test]
fn the_last_one_stays_and_so_does_more_than_the_share() {
    let mut lab = Lab::new(&[1; 4], &eject(0.5));
    for index in [0, 1, 2, 3] {
        (0..5).for_each(|_| lab.observe(index, true));
    }
    assert_eq!(lab.hits(100).iter().filter(|hits| **hits > 0).count(), 2);

    let mut all = Lab::new(&[1; 2], &eject(1.0));
    for index in [0, 1] {
        (0..3).for_each(|_| all.observe(index, true));
    }
    assert!(all.pick(&[]).is_none());
}

#[test]
fn calls_from_before_the_ejection_say_nothing_about_the_probe() {
    let mut lab = Lab::new(&[1, 1], &eject(0.5));
    lab.now += SECOND;
    (0..3).for_each(|_| lab.observe(0, true));
    lab.now += 10 * SECOND;
    let endpoint = lab.set.find(lab.ids[0]).unwrap();
    lab.set.observe(&endpoint, 11 * SECOND, false, lab.now);
    let (probe, _held) = lab.pick(&[]).unwrap();
    assert_eq!(probe, 0);
    lab.set.observe(&endpoint, 11 * SECOND, false, lab.now);
    assert_eq!(lab.hits(100), [0, 100]);
}

#[test]
fn a_check_that_passes_ends_an_ejection() {
    let mut lab = Lab::new(&[1, 1], &eject(0.5));
    (0..3).for_each(|_| lab.observe(0, true));
    assert_eq!(lab.hits(100), [0, 100]);
    lab.well(0, true);
    assert!(lab.hits(100)[0] > 0);
}

fn balance(balance: Balance) -> Policies {
    Policies { balance: Setting::On(balance), ..Policies::default() }
}

fn hash() -> Policies {
    balance(Balance::Hash(HashKey::ClientIp))
}

fn sticky() -> Policies {
    balance(Balance::Sticky("at".to_owned()))
}

impl Lab {
    fn pick_key(&mut self, key: usize, avoid: &[usize]) -> (usize, InFlight) {
        let key = Some(crate::upstream::balance::hash(&key.to_le_bytes()));
        let avoid: Vec<_> = avoid.iter().map(|index| self.ids[*index]).collect();
        let (now, draw) = (self.now, &mut |_| 0);
        let picked = self.set.pick(Ask { key, sticky: None, avoid: &avoid, now, draw }).unwrap();
        (self.ids.iter().position(|id| *id == picked.endpoint.id).unwrap(), picked.in_flight)
    }

    fn pick_cookie(&mut self, sticky: Option<&str>, avoid: &[u64]) -> Picked {
        let draw = &mut |below| self.random.u64(..below);
        self.set.pick(Ask { key: None, sticky, avoid, now: self.now, draw }).unwrap()
    }
}

/// Whether shares are those of the weights, within 2 %.
#[track_caller]
fn assert_fair(hits: &[usize], weights: &[u32]) {
    let (all, sum): (usize, u32) = (hits.iter().sum(), weights.iter().sum());
    for (hits_of, weight) in hits.iter().zip(weights) {
        let due = all as f64 * f64::from(*weight) / f64::from(sum);
        assert!((*hits_of as f64 / due - 1.0).abs() < 0.02, "{hits:?} of {weights:?}");
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

#[test]
fn picks_go_on_while_everything_changes() {
    let policies = Policies { slow_start: Setting::On(SECOND), ..eject(0.5) };
    let lab = Lab::new(&[1; 20], &policies);
    // The first ten stay well; of the others somebody is always in trouble.
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let lab = &lab;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..20_000 {
                    let now = lab.now + Duration::from_millis(random.u64(..5000));
                    let draw = &mut |below| random.u64(..below);
                    let ask = Ask { key: None, sticky: None, avoid: &[], now, draw };
                    let picked = lab.set.pick(ask).expect("ten are fit");
                    let failed = lab.ids[10..].contains(&picked.endpoint.id);
                    lab.set.observe(&picked.endpoint, Duration::ZERO, failed, now);
                }
            });
        }
        scope.spawn(|| {
            for turn in 0..2000 {
                lab.well(10 + turn % 10, turn / 10 % 2 == 0);
            }
        });
    });
    let all = lab.set.all();
    assert!(all.iter().all(|one| one.condition.in_flight.load(Ordering::Relaxed) == 0));
    assert!(all[..10].iter().all(|one| one.condition.ejected_until().is_none()));
    // What was decided last is what is picked from.
    lab.ids[10..].iter().for_each(|id| lab.set.mark_well(*id, false, lab.now));
    assert_eq!(lab.set.ready_at(lab.now).fit.len(), 10);
}

#[test]
fn what_a_request_of_before_a_reload_finds_out_counts_after_it() {
    let mut lab = Lab::new(&[1, 1], &eject(0.5));
    let before = lab.reload(&eject(0.5));
    let endpoint = before.find(lab.ids[0]).unwrap();
    (0..3).for_each(|_| before.observe(&endpoint, Duration::ZERO, true, lab.now));
    assert_eq!(lab.hits(100), [0, 100]);
}

#[test]
fn the_view_needs_no_traffic() {
    let mut lab = Lab::new(&[2, 1], &eject(0.5));
    (0..3).for_each(|_| lab.observe(0, true));
    lab.well(1, false);
    let view = lab.set.view(lab.now);
    assert_eq!((view[0].state, view[0].failures), (EndpointState::Ejected, 3));
    assert!(view[0].ejected_until.is_some() && view[1].ejected_until.is_none());
    assert_eq!(view[1].state, EndpointState::Unhealthy);
    assert_eq!(
        (view[0].weight, view[0].tier, view[0].url.as_str()),
        (2, 1, "http://127.0.0.1:1000")
    );
    lab.now += 10 * SECOND;
    assert_eq!(lab.set.view(lab.now)[0].state, EndpointState::Probing);
    assert_eq!(serde_json::to_value(&lab.set.view(lab.now)[0]).unwrap()["state"], "probing");
}

#[test]
fn a_reload_keeps_what_is_known_while_its_policies_stand() {
    let mut lab = Lab::new(&[1, 1, 1], &eject(0.7));
    lab.now += SECOND;
    (0..3).for_each(|_| lab.observe(0, true));
    lab.well(1, false);
    let ids = lab.ids.clone();
    lab.upstreams.rotate_left(1);
    lab.reload(&eject(0.7));
    assert_eq!(lab.ids, [ids[1], ids[2], ids[0]]);
    assert_eq!(lab.hits(100), [0, 100, 0]);

    lab.reload(&Policies::default());
    let hits = lab.hits(100);
    assert!(hits[0] == 0 && hits[2] > 0, "nobody ejects any longer: {hits:?}");
    lab.set.unchecked(lab.now);
    assert!(lab.hits(100)[0] > 0);
}

#[test]
fn who_is_put_out_by_hand_comes_back_without_a_policy_too() {
    let mut lab = Lab::new(&[1, 1], &Policies::default());
    lab.now += SECOND;
    lab.set.eject(lab.ids[0], true, lab.now);
    assert_eq!(lab.hits(100), [0, 100]);
    lab.now += Eject::default().lasts;
    let (probe, held) = lab.pick(&[]).unwrap();
    assert!(probe == 0 && held.is_probe());
    lab.observe(0, false);
    drop(held);
    assert!(lab.hits(100)[0] > 0);
    lab.set.eject(lab.ids[0], true, lab.now);
    lab.set.eject(lab.ids[0], false, lab.now);
    assert!(lab.hits(100)[0] > 0);
}

#[test]
fn an_address_that_is_declared_twice_stays_two_over_a_reload() {
    let twice = || std::iter::repeat_n(Upstream::http("10.0.0.1", 80), 2);
    let mut lab = Lab::of(twice(), &Policies::default());
    let mut before = lab.ids.clone();
    lab.reload(&Policies::default());
    lab.ids.sort_unstable();
    before.sort_unstable();
    assert!(lab.ids == before && before[0] != before[1]);
}

#[test]
fn addresses_of_a_name_come_and_go() {
    let policies = Policies { slow_start: Setting::On(10 * SECOND), ..Policies::default() };
    let upstream = Upstream { weight: 3, tier: 2, ..Upstream::http("users", 80) };
    let mut lab = Lab::of(std::iter::once(upstream), &policies);
    let ips = |last: &[u8]| -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect()
    };
    let one = lab.ids[0];
    lab.set.resolved("users", &ips(&[1, 2]), lab.now);
    lab.count();
    assert_eq!((lab.ids.len(), lab.ids[0]), (2, one));
    assert_fair(&lab.hits(40_000), &[1, 1]);
    let view = lab.set.view(lab.now);
    assert_eq!((view[1].address.as_str(), view[1].url.as_str()), ("10.0.0.2:80", "http://users"));
    assert_eq!((view[1].weight, view[1].tier), (3, 2));

    lab.now += SECOND;
    let kept = lab.ids[1];
    lab.set.resolved("users", &ips(&[2, 3]), lab.now);
    lab.count();
    assert_eq!((lab.ids.len(), lab.ids[0]), (2, kept));
    assert_fair(&lab.hits(60_000), &[20, 2]);
    lab.set.resolved("others", &ips(&[9]), lab.now);
    lab.reload(&policies);
    assert_eq!((lab.ids.len(), lab.ids[0]), (2, kept), "a reload asks nobody anew");
}
