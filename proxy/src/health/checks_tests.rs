//! Checkers of whole services, against real servers.

use super::*;
use crate::credentials::Credentials;
use crate::health::Health;
use crate::health::testing::Server;
use crate::plan::{Compiling, Kept};
use crate::upstream::Ask;
use stitch_config::model::{HealthCheck, HealthProbe, Service as Declared};
use tokio::net::TcpListener;

const OFTEN: Duration = Duration::from_millis(1);

fn check(path: &str) -> HealthCheck {
    HealthCheck {
        probe: HealthProbe::Http(path.to_owned()),
        every: OFTEN,
        timeout: Duration::from_secs(10),
        healthy: 2,
        unhealthy: 3,
    }
}

/// A service with these urls, and endpoints of its predecessor where they stayed.
fn service(urls: &[String], check: Option<HealthCheck>, previous: Option<&Service>) -> Service {
    let text = format!("services: {{ a: {{ urls: [{}] }} }}", urls.join(", "));
    let loaded = stitch_config::load_text("stitch.yaml", &text, &|_| None);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    let mut declared = Declared::clone(&loaded.config.services[0]);
    declared.health_check = check;
    let config = stitch_config::load_text("stitch.yaml", "", &|_| None).config;
    let with = Compiling {
        config: &config,
        credentials: &Credentials::default(),
        kept: &Kept::default(),
        now: Instant::now(),
    };
    Service::compile(&Arc::new(declared), None, previous, with)
}

fn url(server: &Server) -> String {
    format!("\"http://{}\"", server.address)
}

fn picks(service: &Service) -> Option<u64> {
    let ask = Ask {
        key: None,
        sticky: None,
        avoid: &[],
        now: Instant::now(),
        draw: &mut |below| fastrand::u64(..below),
    };
    service.endpoints.pick(ask).map(|picked| picked.endpoint.id)
}

fn ids(service: &Service) -> Vec<u64> {
    service.endpoints.all().iter().map(|endpoint| endpoint.id).collect()
}

fn health_of(service: &Service) -> Option<Health> {
    service.endpoints.all()[0].health()
}

#[tokio::test]
async fn an_endpoint_that_fails_gets_nothing_until_it_passes_again() {
    let mut server = Server::start().await;
    let service = service(&[url(&server)], Some(check("/up")), None);
    let id = ids(&service)[0];
    let checks = Checks::default();
    assert_eq!(picks(&service), Some(id), "well until told otherwise");
    checks.follow_services([&service].into_iter());
    server.after(1).await;
    assert_eq!(picks(&service), Some(id));
    let health = health_of(&service).unwrap();
    assert_eq!((health.state, health.error, health.failed), ("healthy", None, 0));

    server.answer(503);
    server.after(3).await;
    assert_eq!(picks(&service), None);
    let health = health_of(&service).unwrap();
    assert_eq!(health.state, "unhealthy");
    assert!(health.error.unwrap().starts_with("/up answers 503"));
    assert!(health.failed >= 3 && health.checks > health.failed && health.last.is_some());

    server.answer(200);
    server.after(2).await;
    assert_eq!(picks(&service), Some(id));
    let health = health_of(&service).unwrap();
    assert_eq!((health.state, health.error), ("healthy", None));
}

#[tokio::test]
async fn a_passing_check_ends_an_ejection() {
    let mut server = Server::start().await;
    let service = service(&[url(&server)], Some(check("/up")), None);
    let id = ids(&service)[0];
    service.endpoints.eject(id, true, Instant::now());
    assert_eq!(picks(&service), None);
    let checks = Checks::default();
    checks.follow_services([&service].into_iter());
    server.after(1).await;
    assert_eq!(picks(&service), Some(id));
}

#[tokio::test]
async fn what_is_known_survives_reloads() {
    let mut server = Server::start().await;
    let first = service(&[url(&server)], Some(check("/up")), None);
    let id = ids(&first)[0];
    let checks = Checks::default();
    server.answer(503);
    checks.follow_services([&first].into_iter());
    server.after(1).await;
    let before = health_of(&first).unwrap();
    assert_eq!(before.state, "unhealthy");
    let mut previous = first;
    // With the same settings, and with others.
    for check in [check("/up"), HealthCheck { every: 2 * OFTEN, ..check("/up") }] {
        let reloaded = service(&[url(&server)], Some(check), Some(&previous));
        checks.follow_services([&reloaded].into_iter());
        let after = health_of(&reloaded).unwrap();
        assert!(after.checks >= before.checks);
        assert_eq!((after.state, &after.since), ("unhealthy", &before.since));
        assert_eq!(picks(&reloaded), None);
        previous = reloaded;
    }
    // Results go to the set in force.
    server.answer(200);
    server.after(2).await;
    assert_eq!(picks(&previous), Some(id));
}

#[tokio::test]
async fn another_path_is_a_new_question() {
    let mut server = Server::start().await;
    let hardly = HealthCheck { healthy: 1000, ..check("/old") };
    let first = service(&[url(&server)], Some(hardly.clone()), None);
    let id = ids(&first)[0];
    let checks = Checks::default();
    checks.follow_services([&first].into_iter());
    server.after(1).await;
    server.answer(404);
    server.after(3).await;
    assert_eq!(picks(&first), None);
    server.answer(200);
    let new = HealthCheck { probe: HealthProbe::Http("/new".to_owned()), ..hardly };
    let second = service(&[url(&server)], Some(new), Some(&first));
    checks.follow_services([&second].into_iter());
    while !server.head().await.starts_with("GET /new ") {}
    server.after(1).await;
    assert_eq!(picks(&second), Some(id), "one good answer to it is enough");
}

#[tokio::test]
async fn who_is_checked_no_more_is_well() {
    let mut server = Server::start().await;
    let first = service(&[url(&server)], Some(check("/up")), None);
    let id = ids(&first)[0];
    let checks = Checks::default();
    server.answer(503);
    checks.follow_services([&first].into_iter());
    server.after(1).await;
    assert_eq!(picks(&first), None);
    let second = service(&[url(&server)], None, Some(&first));
    checks.follow_services([&second].into_iter());
    assert_eq!(picks(&second), Some(id));
    assert_eq!(health_of(&second), None);
}

#[tokio::test]
async fn the_end_of_checks_changes_nothing() {
    let mut server = Server::start().await;
    let service = service(&[url(&server)], Some(check("/up")), None);
    let checks = Checks::default();
    server.answer(503);
    checks.follow_services([&service].into_iter());
    server.after(1).await;
    checks.end();
    assert_eq!(picks(&service), None);
    assert_eq!(health_of(&service).unwrap().state, "unhealthy");
    assert!(checks.0.state().services.is_empty());
}

#[tokio::test]
async fn endpoints_come_and_go() {
    let (mut one, mut two) = (Server::start().await, Server::start().await);
    let first = service(&[url(&one)], Some(check("/up")), None);
    let checks = Checks::default();
    checks.follow_services([&first].into_iter());
    one.after(1).await;
    let second = service(&[url(&two)], Some(check("/up")), Some(&first));
    checks.follow_services([&second].into_iter());
    two.after(1).await;
    assert_eq!(health_of(&first), None);
    assert!(health_of(&second).unwrap().checks >= 1);
    // Its connections end with the checks of the last endpoint that wants them.
    checks.follow_services([].into_iter());
    assert_eq!(health_of(&second), None);
    assert!(checks.0.state().looking.is_none());
}

#[tokio::test]
async fn no_more_than_so_many_are_asked_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let urls: Vec<_> =
        (0..AT_ONCE + 36).map(|number| format!("\"http://{address}/{number}\"")).collect();
    let service = service(&urls, Some(check("/up")), None);
    let checks = Checks::default();
    checks.follow_services([&service].into_iter());
    // Nobody is answered, so nobody's turn ends.
    let mut asked = Vec::new();
    for _ in 0..AT_ONCE {
        asked.push(listener.accept().await.unwrap());
    }
    assert_eq!(checks.0.turns.available_permits(), 0);
    // Who hangs up lets the next one in.
    asked.pop();
    asked.push(listener.accept().await.unwrap());
}

#[tokio::test]
async fn each_address_of_a_name_is_checked_as_soon_as_it_is_known() {
    let mut server = Server::start().await;
    let url = format!("\"http://two.invalid:{}\"", server.address.port());
    let service = service(&[url], Some(check("/up")), None);
    let checks = Checks::default();
    checks.follow_services([&service].into_iter());
    // Nobody listens on the second one.
    let addresses = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    service.endpoints.resolved("two.invalid", &addresses, Instant::now());
    let all = service.endpoints.all();
    let of = |ip: &str| all.iter().find(|one| one.pinned() == ip.parse().ok()).unwrap();
    server.after(3).await;
    assert_eq!(of("127.0.0.1").health().unwrap().state, "healthy");
    while of("127.0.0.2").health().is_none_or(|health| health.state == "healthy") {
        server.after(1).await;
    }
    assert_eq!(of("127.0.0.2").health().unwrap().error.unwrap(), "connection refused");
    assert_eq!(picks(&service), Some(of("127.0.0.1").id));
}
