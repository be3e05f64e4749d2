//! Breakers and the file: what a reload leaves alone, and what it begins afresh.

use super::get;
use super::watched::{
    Events, PATIENCE, REFUSED, Service, breaker, set_mode, shift, state, statuses, told,
};
use stitch_kit::{Stitch, wait_until};

fn file(service: &Service, breaker: &str, more: &str) -> String {
    let url = service.upstream.url();
    format!("services:\n  users: {{ url: '{url}', breaker: {{ {breaker} }} }}\n{more}")
}

/// Rewrites the file and waits until this number of reloads is through.
#[track_caller]
fn reload(stitch: &Stitch, yaml: &str, number: usize) {
    stitch.rewrite(yaml);
    let reloads = || {
        let lines = stitch.stdout_lines();
        lines.iter().filter(|line| line.contains("\"event\":\"reloaded\"")).count()
    };
    assert!(wait_until(PATIENCE, || reloads() >= number), "{}", stitch.stderr());
}

#[test]
fn other_thresholds_keep_the_failures_seen_so_far() {
    let service = Service::start();
    let stitch = Stitch::up(&file(&service, "consecutive: 9, open: 60s, window: 60s", ""));
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    let before = breaker(&stitch, "users");
    reload(&stitch, &file(&service, "consecutive: 5, open: 60s, window: 60s", ""), 1);
    assert_eq!(breaker(&stitch, "users"), before);
    assert_eq!(statuses(&stitch, 1), [503]);
    assert_eq!(state(&stitch, "users"), "closed");
    assert_eq!(statuses(&stitch, 1), [503]);
    assert_eq!(told(&get(&stitch)), REFUSED, "three before the reload and two behind it");
    assert_eq!(service.asked(), 5);
}

#[test]
fn an_open_breaker_stays_open_until_its_window_is_another_one() {
    let service = Service::start();
    let stitch = Stitch::up(&file(&service, "consecutive: 3, open: 60s, window: 60s", ""));
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    let before = breaker(&stitch, "users");
    reload(&stitch, &file(&service, "consecutive: 7, open: 60s, window: 60s", ""), 1);
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["since"]), (&"open".into(), &before["since"]));
    assert_eq!(seen["window"], before["window"]);
    assert_eq!(told(&get(&stitch)), REFUSED);
    reload(&stitch, &file(&service, "consecutive: 7, open: 60s, window: 20s", ""), 2);
    let seen = breaker(&stitch, "users");
    assert_eq!((&seen["state"], &seen["window"]["calls"]), (&"closed".into(), &0.into()));
    assert_eq!((&seen["consecutive"], &seen["calls"]["failure"]), (&0.into(), &3.into()));
    let mut events = Events::after(&stitch, 1);
    assert_eq!(shift(&events.next()), ["open", "closed", "config"]);
    assert_eq!(statuses(&stitch, 6), [503; 6]);
    assert_eq!(state(&stitch, "users"), "closed", "of seven");
}

#[test]
fn what_changes_elsewhere_changes_nothing() {
    let service = Service::start();
    let text = "consecutive: 3, open: 60s, window: 60s";
    let stitch = Stitch::up(&file(&service, text, "  shop: { endpoints: [{ path: /a }] }\n"));
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    assert_eq!(
        set_mode(&stitch, "users", r#"{"mode": "forced_open", "reason": "drill"}"#).status,
        200
    );
    let before = breaker(&stitch, "users");
    for (number, more) in [
        "  shop: { endpoints: [{ path: /b }], breaker: true }\n",
        "  shop: { endpoints: [{ path: /b }] }\n",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        reload(&stitch, &file(&service, text, more), number + 1);
        assert_eq!(breaker(&stitch, "users"), before, "{more}");
    }
    assert_eq!(told(&get(&stitch)), REFUSED);
    // Two so far: it opened, and it was forced.
    assert_eq!(Events::after(&stitch, 1).next()["cause"], "manual");
    reload(&stitch, &file(&service, "consecutive: 4, open: 60s, window: 60s", ""), 4);
    assert_eq!(shift(&Events::after(&stitch, 2).next()), ["forced_open", "closed", "config"]);
    assert!(
        stitch.stderr().contains("the mode set at run time was dropped"),
        "{}",
        stitch.stderr()
    );
}

#[test]
fn a_breaker_that_the_file_drops_is_gone_and_a_new_one_is_closed() {
    let service = Service::start();
    let text = file(&service, "consecutive: 3, open: 60s, window: 60s", "");
    let stitch = Stitch::up(&text);
    service.is(503);
    assert_eq!(statuses(&stitch, 3), [503; 3]);
    assert_eq!(told(&get(&stitch)), REFUSED);
    let url = service.upstream.url();
    reload(&stitch, &format!("services: {{ users: {{ url: '{url}' }} }}"), 1);
    assert_eq!(told(&get(&stitch)), (503, "real", "-"));
    let gone = stitch_kit::http::get(stitch.admin(), "/api/breakers/users", &[]);
    assert_eq!(gone.status, 404);
    reload(&stitch, &text, 2);
    assert_eq!(state(&stitch, "users"), "closed");
    assert_eq!(told(&get(&stitch)).1, "real");
}
