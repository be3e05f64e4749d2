//! `health:` with `every`: what is asked, how often, and what counts.

use std::path::Path;
use std::time::Duration;
use stitch_config::model::{HealthCheck, HealthProbe};
use stitch_config::{dump, load};

fn checks(service: &str) -> Option<HealthCheck> {
    let loaded = load(Path::new("tests/fixtures/valid/health-checks.yaml"), &super::env);
    loaded.config.service(service).unwrap().health_check.clone()
}

fn probe(service: &str) -> HealthProbe {
    checks(service).unwrap().probe
}

#[test]
fn what_is_written_is_meant() {
    let expected = HealthCheck {
        probe: HealthProbe::Http("/up".to_owned()),
        every: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
        healthy: 1,
        unhealthy: 4,
    };
    assert_eq!(checks("page"), Some(expected));
}

#[test]
fn what_is_not_written_has_a_default() {
    let expected = HealthCheck {
        probe: HealthProbe::Http("/health".to_owned()),
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        healthy: 2,
        unhealthy: 3,
    };
    assert_eq!(checks("default"), Some(expected));
    assert_eq!(checks("short").unwrap().timeout, Duration::from_secs(1));
    assert_eq!(checks("started"), None, "without every it is start order's alone");
}

#[test]
fn what_is_asked_follows_from_what_is_spoken() {
    assert_eq!(probe("grpc"), HealthProbe::Grpc("a.B".to_owned()));
    for service in ["unnamed", "connected", "db"] {
        assert_eq!(probe(service), HealthProbe::Tcp, "{service}");
    }
}

#[test]
fn what_defaults_say_is_said_of_every_endpoint() {
    let config = super::config(
        "defaults: { health: { every: 5s, timeout: 3s, healthy: 1, unhealthy: 7 } }
services:
  plain: { url: http://localhost:1 }
  own: { url: http://localhost:1, health: { path: /up, every: 1s, unhealthy: 2 } }
  off: { url: http://localhost:1, health: { every: none } }
  db: { type: tcp, url: tcp://localhost:1 }
  mock: { endpoints: [{ path: / }] }
  nats: { type: infra, image: nats }
",
    );
    let check = |name: &str| config.service(name).unwrap().health_check.clone();
    let (path, every) = ("/health".to_owned(), Duration::from_secs(5));
    let timeout = Duration::from_secs(3);
    let plain =
        HealthCheck { probe: HealthProbe::Http(path), every, timeout, healthy: 1, unhealthy: 7 };
    assert_eq!(check("plain"), Some(plain.clone()));
    assert_eq!(check("db"), Some(HealthCheck { probe: HealthProbe::Tcp, ..plain.clone() }));
    let second = Duration::from_secs(1);
    let own = HealthCheck {
        probe: HealthProbe::Http("/up".to_owned()),
        every: second,
        timeout: second,
        unhealthy: 2,
        ..plain
    };
    assert_eq!(check("own"), Some(own), "a timeout that is not its own is not longer than every");
    for service in ["off", "mock", "nats"] {
        assert_eq!(check(service), None, "{service}");
    }
}

#[test]
fn start_order_waits_for_a_connection_where_one_is_enough() {
    let loaded = load(Path::new("tests/fixtures/valid/health-checks.yaml"), &super::env);
    let path = |name: &str| loaded.config.service(name).unwrap().health_path.clone();
    assert_eq!((path("connected"), path("started")), (None, Some("/up".to_owned())));
    assert_eq!(path("default"), None, "nobody starts it");
}

#[test]
fn the_dump_says_what_is_asked() {
    let loaded = load(Path::new("tests/fixtures/valid/health-checks.yaml"), &super::env);
    let services = &dump(&loaded.config)["services"];
    let health = &services["default"]["health"];
    assert_eq!((&health["path"], &health["every"]), (&"/health".into(), &"10s".into()));
    assert_eq!((&health["healthy"], &health["timeout"]), (&2.into(), &"2s".into()));
    assert_eq!(services["db"]["health"]["tcp"], true);
    assert_eq!(services["started"]["health"].get("every"), None);
}
