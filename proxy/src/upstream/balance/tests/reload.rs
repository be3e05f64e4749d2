//! What lasts when the file or a name changes.

use super::lab::{Lab, SECOND, assert_fair, eject};
use std::net::IpAddr;
use std::time::Duration;
use stitch_config::model::{Policies, Setting, Upstream};

#[test]
fn what_a_request_of_before_a_reload_finds_out_counts_after_it() {
    let mut lab = Lab::new(&[1, 1], &eject(0.5));
    let before = lab.reload(&eject(0.5));
    let endpoint = before.find(lab.ids[0]).unwrap();
    (0..3).for_each(|_| before.observe(&endpoint, Duration::ZERO, true, lab.now));
    assert_eq!(lab.hits(100), [0, 100]);
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
