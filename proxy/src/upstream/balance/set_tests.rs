use super::*;
use stitch_config::model::{Setting, Upstream};

const SECOND: Duration = Duration::from_secs(1);

struct Lab {
    set: EndpointSet,
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
        let members: Vec<_> =
            upstreams.map(|upstream| Arc::new(Endpoint::declared(&upstream, None))).collect();
        let ids = members.iter().map(|member| member.id).collect();
        let now = Instant::now();
        let set = EndpointSet::new(members, policies, None, now);
        Self { set, ids, now, random: fastrand::Rng::with_seed(7) }
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
