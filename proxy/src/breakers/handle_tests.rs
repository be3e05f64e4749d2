//! Handles and their registry: what is told, kept and shown.

use super::{Breaker, Breakers};
use crate::policy::breaker::{Mode, State, Verdict};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model;
use tokio::time::Instant;

fn fail(breaker: &Arc<Breaker>, times: u32, now: Instant) {
    for _ in 0..times {
        breaker.admit(now).unwrap().settle(Verdict::Failure, Duration::ZERO, now);
    }
}

#[test]
fn what_happens_is_logged_with_who_it_happened_to() {
    let (breakers, now) = (Breakers::default(), Instant::now());
    let breaker = breakers.keep("shop@orders", "shop", &model::Breaker::default(), now);
    fail(&breaker, 5, now);
    breaker.set_mode(Mode::ForcedClosed, None, Some("drill".into()), now);
    let log: Vec<_> = breakers
        .transitions()
        .recent()
        .iter()
        .map(|one| (one.seq, one.to, one.id.to_string(), one.service.to_string()))
        .collect();
    let (id, service) = ("shop@orders".to_owned(), "shop".to_owned());
    assert_eq!(
        log,
        [(1, State::Open, id.clone(), service.clone()), (2, State::ForcedClosed, id, service)]
    );
    assert_eq!(breakers.transitions().recent()[1].reason.as_deref(), Some("drill"));
}

#[test]
fn a_view_says_it_all() {
    let (breakers, now) = (Breakers::default(), Instant::now());
    let breaker = breakers.keep("users", "users", &model::Breaker::default(), now);
    breaker.admit(now).unwrap().settle(Verdict::Success, Duration::ZERO, now);
    fail(&breaker, 5, now);
    let rejected = breaker.admit(now + Duration::from_secs(1)).unwrap_err();
    assert_eq!((rejected.retry_after.as_secs(), rejected.state), (59, State::Open));
    let mut view = json!(breaker.view(now));
    for key in ["since", "until"] {
        let at = view.as_object_mut().unwrap().remove(key).unwrap();
        let at: jiff::Timestamp = at.as_str().unwrap().parse().unwrap();
        let off = at.duration_since(jiff::Timestamp::now()).as_secs();
        assert!(if key == "since" { off.abs() < 30 } else { (30..=61).contains(&off) }, "{off}");
    }
    assert_eq!(
        view,
        json!({
            "id": "users", "service": "users", "mode": "auto", "state": "open",
            "n": 1, "consecutive": 5,
            "window": {
                "calls": 6, "failures": 5, "slow": 0, "failure_rate": 5.0 / 6.0, "slow_rate": 0.0,
            },
            "probes": { "in_flight": 0, "good": 0 },
            "calls": { "success": 1, "failure": 5, "slow": 0, "ignored": 0, "not_permitted": 1 },
        })
    );
    breaker.set_mode(Mode::ForcedOpen, Some(Duration::from_secs(30)), Some("why".into()), now);
    let view = json!(breaker.view(now));
    assert_eq!((&view["state"], &view["reason"]), (&json!("forced_open"), &json!("why")));
    assert!(view["reverts_at"].is_string() && view["until"].is_null());
    assert_eq!(format!("{breaker:?}"), "Breaker(users, forced_open)");
}

#[test]
fn breakers_outlive_reloads_with_their_state() {
    let (breakers, now) = (Breakers::default(), Instant::now());
    let settings = model::Breaker::default();
    let before = breakers.keep("users", "users", &settings, now);
    breakers.keep("gone", "gone", &settings, now);
    fail(&before, 5, now);
    let other = model::Breaker { open: Duration::from_secs(1), ..settings.clone() };
    let after = breakers.keep("users", "users", &other, now);
    breakers.retain(|id| id == "users");
    assert!(Arc::ptr_eq(&before, &after));
    assert_eq!(after.state(), State::Open);
    assert!(breakers.get("gone").is_none());
    assert_eq!(breakers.list().len(), 1);
}

#[test]
fn a_forced_mode_is_dropped_when_the_file_changes_the_breaker() {
    let (breakers, now) = (Breakers::default(), Instant::now());
    let settings = model::Breaker::default();
    let breaker = breakers.keep("users", "users", &settings, now);
    breaker.set_mode(Mode::ForcedOpen, None, None, now);
    breakers.keep("users", "users", &settings, now);
    assert_eq!(breaker.state(), State::ForcedOpen);
    breakers.keep("users", "users", &model::Breaker { probes: 1, ..settings }, now);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn reset_and_time_work_through_the_handle() {
    let (breakers, now) = (Breakers::default(), Instant::now());
    let breaker = breakers.keep("users", "users", &model::Breaker::default(), now);
    assert_eq!(breakers.advance(now), None);
    fail(&breaker, 5, now);
    let due = now + Duration::from_secs(60);
    assert_eq!(breakers.advance(now), Some(due));
    assert_eq!(breakers.advance(due), Some(due + Duration::from_secs(30)));
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.reset(due);
    assert_eq!((breaker.state(), breakers.advance(due)), (State::Closed, None));
}
