//! What a network changes, one decision at a time.

use super::super::testing::{bytes, command, config, infra, mock, real};
use super::*;
use stitch_config::model::{Scheme, Secret};

fn args(config: &Config) -> String {
    Network::of(config).overrides.to_args().join(" ")
}

#[test]
fn a_mock_only_file_needs_addresses_events_and_trust() {
    let config = config(vec![mock("payments", Some(8002), vec![])]);
    assert_eq!(
        args(&config),
        "--listen 0.0.0.0:8080 --admin 127.0.0.1:9900 --events in-process \
         --forward-allow private,public --trust private,loopback"
    );
    assert!(Network::of(&config).warnings.is_empty());
}

#[test]
fn every_listen_port_is_opened_once_and_free_ports_are_fixed() {
    let mut config = config(vec![]);
    config.proxy.listen =
        ["127.0.0.1:7000", "[::1]:7000", "10.0.0.1:0"].map(|it| it.parse().unwrap()).to_vec();
    config.proxy.admin.listen = "127.0.0.1:0".parse().unwrap();
    assert_eq!(listen_ports(&config), [7000, 8080]);
    assert!(
        args(&config)
            .starts_with("--listen 0.0.0.0:7000 --listen 0.0.0.0:8080 --admin 127.0.0.1:9900")
    );
}

#[test]
fn admin_stays_inside_unless_a_token_guards_it_and_evades_our_ports() {
    let mut config = config(vec![mock("a", Some(9900), vec![]), mock("b", Some(0), vec![])]);
    assert_eq!(admin(&config).to_string(), "127.0.0.1:9901");
    config.proxy.admin.token = Some(Secret::new("s"));
    assert_eq!(admin(&config).to_string(), "0.0.0.0:9901");
}

#[test]
fn narrower_rules_of_the_file_are_kept() {
    let mut config = config(vec![]);
    config.proxy.forward.allow.clear();
    config.proxy.trust = vec![AllowRule::Host("*.corp".to_owned())];
    let args = args(&config);
    assert!(args.ends_with("--forward-allow none --trust *.corp"), "{args}");
}

#[test]
fn a_declared_nats_is_the_broker() {
    let events = |services| Network::of(&config(services)).overrides.events.unwrap();
    let nats = |url: &str| Events::Nats(url.to_owned());
    assert_eq!(events(vec![infra("nats", "acme/broker:1", &[])]), nats("nats://nats:4222"));
    assert_eq!(
        events(vec![infra("bus", "reg.io:5/acme/nats@sha256:0", &[])]),
        nats("nats://bus:4222")
    );
    assert_eq!(events(vec![infra("db", "postgres:16", &[])]), Events::InProcess);
    assert_eq!(events(vec![mock("nats", None, vec![])]), Events::InProcess);
}

#[test]
fn a_broker_on_this_machine_is_found_from_inside() {
    let events = |url: &str, services| {
        let mut config = config(services);
        config.events = Events::Nats(url.to_owned());
        let network = Network::of(&config);
        match network.overrides.events {
            Some(Events::Nats(url)) => (url, network.needs_host),
            other => panic!("{other:?}"),
        }
    };
    let bus = || vec![infra("bus", "acme/bus", &["14222:4222"])];
    let told = |url: &str, host: bool| (url.to_owned(), host);
    assert_eq!(events("nats://localhost:14222", bus()), told("nats://bus:4222", false));
    assert_eq!(events("nats://u:p@127.0.0.1:14222/", bus()), told("nats://u:p@bus:4222", false));
    assert_eq!(events("nats://localhost", bus()), told("nats://host.docker.internal:4222", true));
    assert_eq!(events("nats://far:1", bus()), told("nats://far:1", false));
    assert_eq!(events("tls://far:1", bus()), told("tls://far:1", false));
    let mut config = config(bus());
    config.events = Events::InProcess;
    assert_eq!(Network::of(&config).overrides.events, Some(Events::InProcess));
}

#[test]
fn real_services_with_an_image_stand_behind_their_name() {
    let mut users = real("users", &[("localhost", 8000), ("localhost", 8001)]);
    users.image = Some("acme/users:1".to_owned());
    users.upstreams[0].base_path = "/v1".to_owned();
    let config = config(vec![users, mock("users-real", None, vec![])]);
    let network = Network::of(&config);
    assert_eq!(network.reals[0].container, "users-real-2");
    let args = args(&config);
    assert!(
        args.ends_with(
            "--url users=http://users-real-2:8000/v1 --url users=http://users-real-2:8001"
        ),
        "{args}"
    );
    assert!(!network.needs_host && network.warnings.is_empty());
}

#[test]
fn bytes_are_placed_like_requests() {
    let mut own = bytes("db", Scheme::Tcp, "localhost", 5432);
    own.image = Some("postgres:16".to_owned());
    let config = config(vec![
        own,
        bytes("cache", Scheme::Tcp, "localhost", 16379),
        infra("redis", "redis", &["16379:6379"]),
        bytes("far", Scheme::Tls, "db.example.com", 5432),
    ]);
    let network = Network::of(&config);
    assert_eq!(network.reals[0].container, "db-real");
    let args = args(&config);
    let urls = "--url db=tcp://db-real:5432 --url cache=tcp://redis:6379";
    assert!(args.ends_with(urls), "{args}");
    assert!(network.warnings.is_empty(), "{:?}", network.warnings);
}

#[test]
fn what_is_spoken_stays_and_a_name_that_changes_is_told() {
    let mut service = real("users", &[("localhost", 8443)]);
    service.upstreams[0].scheme = Scheme::Https;
    service.image = Some("acme/users".to_owned());
    let warnings = |service: &Service| {
        let config = config(vec![service.clone()]);
        assert!(args(&config).ends_with("--url users=https://users-real:8443"));
        Network::of(&config).warnings
    };
    let told = warnings(&service);
    assert!(told[0].contains("has to be for users-real"), "{told:?}");
    service.tls.sni = Some("localhost".to_owned());
    assert!(warnings(&service).is_empty());
    service.tls = stitch_config::model::ClientTls { insecure: true, ..Default::default() };
    assert!(warnings(&service).is_empty());
}

#[test]
fn a_socket_is_out_of_reach_and_its_command_is_not_started() {
    let mut service = real("users", &[("localhost", 1)]);
    service.upstreams[0].address = UpstreamAddress::Unix("/run/users.sock".into());
    let told = Network::of(&config(vec![service.clone()])).warnings;
    assert!(told[0].contains("unix:/run/users.sock is a socket of this machine"), "{told:?}");
    service.command = command(false);
    assert!(args(&config(vec![service])).ends_with("--url users=unix:/run/users.sock"));
}

#[test]
fn sockets_of_ours_stay_inside() {
    let mut config = config(vec![]);
    config.proxy.listen = vec!["unix:/run/s.sock".parse().unwrap()];
    assert!(args(&config).starts_with("--listen 0.0.0.0:8080 --admin"));
}

#[test]
fn a_program_of_this_machine_is_reached_through_the_host() {
    let mut orders = real("orders", &[("localhost", 9000)]);
    orders.command = command(false);
    let network = Network::of(&config(vec![orders]));
    assert_eq!(network.overrides.urls[0].1.authority(), "host.docker.internal:9000");
    assert!(network.needs_host);
    assert!(network.warnings[0].contains("must listen on 0.0.0.0"), "{:?}", network.warnings);
}

#[test]
fn infrastructure_published_on_this_machine_is_reached_by_name() {
    let config = config(vec![
        infra("minio", "minio", &["127.0.0.1:19000:9000"]),
        real("blobs", &[("127.0.0.1", 19000)]),
    ]);
    assert!(args(&config).ends_with("--url blobs=http://minio:9000"));
    assert!(!Network::of(&config).needs_host);
}

#[test]
fn addresses_that_are_right_from_inside_are_left_alone() {
    let mut named = real("named", &[("api.example.com", 80)]);
    let config1 = config(vec![
        named.clone(),
        real("via", &[("localhost", 8002)]),
        mock("payments", Some(8002), vec![]),
    ]);
    let network = Network::of(&config1);
    assert!(network.overrides.urls.is_empty() && network.warnings.is_empty());
    // A command never runs in our container, wherever its url points.
    named.command = command(false);
    assert!(args(&config(vec![named])).ends_with("--url named=http://api.example.com"));
}

#[test]
fn a_service_that_would_ask_itself_is_told() {
    let network = Network::of(&config(vec![real("users", &[("users", 8000)])]));
    assert!(network.warnings[0].contains("http://users:8000 is stitch itself"));
}

#[test]
fn an_image_without_a_url_is_told_and_not_started() {
    let mut service = mock("users", None, vec![]);
    service.build = Some(stitch_config::Data::Null);
    let network = Network::of(&config(vec![service]));
    assert!(network.reals.is_empty());
    assert!(network.warnings[0].contains("its image is not started"));
}
