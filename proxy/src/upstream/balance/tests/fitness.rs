//! Who is out, and how they come back.

use super::lab::{Lab, SECOND, eject, hash};
use crate::upstream::balance::Ask;
use crate::upstream::balance::view::EndpointState;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stitch_config::model::{Eject, Policies, Setting, Upstream};

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
fn one_ejection_has_one_end() {
    let lab = Lab::new(&[1, 1], &eject(0.5));
    (0..3).for_each(|_| lab.observe(0, true));
    let until = |now| lab.set.view(now)[0].ejected_until.clone().unwrap();
    let told = until(lab.now);
    assert_eq!(until(lab.now + SECOND / 2), told, "by a clock that is half a second off");
    assert_ne!(until(lab.now + 2 * SECOND), told, "by one that was set");
    let told = until(lab.now);
    lab.set.eject(lab.ids[0], true, lab.now + SECOND / 2);
    assert_ne!(until(lab.now), told, "another ejection");
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
fn a_better_tier_comes_back_although_every_request_has_its_place() {
    let mut lab = Lab::of(
        [1, 2, 2].iter().map(|tier| Upstream {
            tier: *tier,
            ..Upstream::http("10.0.0.1", 1000 + u16::from(*tier))
        }),
        &Policies { balance: hash().balance, ..eject(1.0) },
    );
    (0..3).for_each(|_| lab.observe(0, true));
    assert!((0..100).all(|key| lab.pick_key(key, &[]).0 != 0));
    lab.now += 10 * SECOND;
    assert_ne!(lab.pick_key(1, &[1]).0, 0, "not with a request that failed already");
    let (probe, held) = lab.pick_key(1, &[]);
    assert!(probe == 0 && held.is_probe());
    assert_ne!(lab.pick_key(1, &[]).0, 0);
    lab.observe(0, false);
    assert!((0..100).all(|key| lab.pick_key(key, &[]).0 == 0));
}

#[test]
fn the_keys_of_an_ejected_endpoint_try_it() {
    let mut lab = Lab::new(&[1; 3], &Policies { balance: hash().balance, ..eject(0.5) });
    let before: Vec<_> = (0..300).map(|key| lab.pick_key(key, &[]).0).collect();
    (0..3).for_each(|_| lab.observe(0, true));
    lab.now += 10 * SECOND;
    let mut held = Vec::new();
    for (key, before) in before.iter().enumerate() {
        let (index, in_flight) = lab.pick_key(key, &[]);
        assert!(*before == 0 || index != 0, "key {key} was never there");
        if index == 0 {
            held.push(in_flight);
        }
    }
    assert!(held.len() == 1 && held[0].is_probe());
}

#[test]
fn metrics_count_states_and_ejections() {
    let mut lab = Lab::new(&[1; 4], &eject(0.5));
    (0..3).for_each(|_| lab.observe(0, true));
    lab.now += 10 * SECOND;
    lab.observe(0, true);
    (0..3).for_each(|_| lab.observe(1, true));
    lab.well(2, false);
    lab.now += 5 * SECOND;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || lab.set.publish(&"users".into(), lab.now));
    let text = recorder.handle().render();
    for line in [
        r#"stitch_endpoints{service="users",state="ready"} 1"#,
        r#"stitch_endpoints{service="users",state="ejected"} 2"#,
        r#"stitch_endpoints{service="users",state="unhealthy"} 1"#,
        r#"stitch_endpoints{service="users",state="probing"} 0"#,
        r#"stitch_endpoints{service="users",state="warming"} 0"#,
        r#"stitch_endpoint_ejections_total{service="users",endpoint="127.0.0.1:1000"} 2"#,
        r#"stitch_endpoint_ejections_total{service="users",endpoint="127.0.0.1:1001"} 1"#,
    ] {
        assert!(text.contains(line), "no {line} in:\n{text}");
    }
}
