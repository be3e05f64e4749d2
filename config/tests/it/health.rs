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
