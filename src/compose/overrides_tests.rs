//! Every override as argument and back, and what it changes.

use super::super::testing::{command, config, infra, mock, real};
use super::*;
use stitch_config::model::Secret;

const CLASSES: [NetClass; 3] = [NetClass::Loopback, NetClass::Private, NetClass::Public];

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn listen(text: &str) -> ListenAddress {
    text.parse().unwrap()
}

fn classes(classes: &[NetClass]) -> Vec<AllowRule> {
    classes.iter().map(|class| AllowRule::Class(*class)).collect()
}

/// What clap does with the arguments.
fn parsed(args: &[String]) -> Overrides {
    let mut overrides = Overrides::default();
    for pair in args.chunks(2) {
        let [flag, value] = pair else { panic!("{args:?} is not pairs") };
        match flag.as_str() {
            "--listen" => overrides.listen.push(listen(value)),
            "--admin" => overrides.admin = Some(address(value)),
            "--events" => overrides.events = Some(parse_events(value).unwrap()),
            "--forward-allow" => overrides.forward_allow = Some(parse_allow(value).unwrap()),
            "--trust" => overrides.trust = Some(parse_allow(value).unwrap()),
            "--url" => overrides.urls.push(parse_url(value).unwrap()),
            other => panic!("unknown flag {other}"),
        }
    }
    overrides
}

#[test]
fn arguments_and_overrides_are_each_others_inverse() {
    let overrides = Overrides {
        listen: vec![listen("0.0.0.0:8080"), listen("[::]:8081"), listen("unix:/run/s.sock")],
        admin: Some(address("127.0.0.1:9900")),
        events: Some(Events::Nats("nats://user:pass@nats:4222".to_owned())),
        forward_allow: Some(Vec::new()),
        trust: Some(parse_allow("loopback,private,public,10.0.0.0/8,*.example.com").unwrap()),
        urls: vec![
            parse_url("users=http://users-real:8000/api").unwrap(),
            parse_url("users=https://[::1]:8001").unwrap(),
            parse_url("users=h2c://users").unwrap(),
            parse_url("users=unix:/run/users.sock").unwrap(),
            parse_url("db=tls://db:5432").unwrap(),
        ],
    };
    assert_eq!(parsed(&overrides.to_args()), overrides);
    for events in [Events::Auto, Events::InProcess] {
        let overrides = Overrides { events: Some(events), ..Overrides::default() };
        assert_eq!(parsed(&overrides.to_args()), overrides);
    }
    assert!(Overrides::default().to_args().is_empty());
}

#[test]
fn nothing_given_changes_nothing() {
    let before = config(vec![real("users", &[("localhost", 8000)])]);
    let mut after = before.clone();
    Overrides::default().apply(&mut after).unwrap();
    assert_eq!(after.proxy, before.proxy);
    assert_eq!(after.services, before.services);
    assert_eq!(after.events, before.events);
}

#[test]
fn what_is_given_wins_over_the_file() {
    let mut config = config(vec![]);
    let overrides = Overrides {
        listen: vec![listen("0.0.0.0:80")],
        admin: Some(address("127.0.0.1:99")),
        events: Some(Events::InProcess),
        forward_allow: Some(classes(&[NetClass::Private])),
        trust: Some(classes(&[NetClass::Private])),
        urls: Vec::new(),
    };
    overrides.apply(&mut config).unwrap();
    assert_eq!(config.proxy.listen, [listen("0.0.0.0:80")]);
    assert_eq!(config.proxy.admin.listen, address("127.0.0.1:99"));
    assert_eq!(config.events, Events::InProcess);
    assert_eq!(config.proxy.forward.allow, classes(&[NetClass::Private]));
    assert_eq!(config.proxy.trust, classes(&[NetClass::Private]));
}

#[test]
fn an_open_listener_does_not_inherit_the_loopback_default() {
    let apply = |address: &str, allow: &[NetClass]| {
        let mut config = config(vec![]);
        config.proxy.forward.allow = classes(allow);
        let listen = vec![listen(address)];
        Overrides { listen, ..Overrides::default() }.apply(&mut config).unwrap();
        config.proxy.forward.allow
    };
    assert!(apply("0.0.0.0:8080", &CLASSES).is_empty());
    assert_eq!(apply("127.0.0.1:9", &CLASSES), classes(&CLASSES));
    assert_eq!(apply("unix:/run/s.sock", &CLASSES), classes(&CLASSES));
    assert_eq!(apply("0.0.0.0:8080", &[NetClass::Private]), classes(&[NetClass::Private]));
}

#[test]
fn admin_off_loopback_needs_a_token() {
    let overrides = Overrides { admin: Some(address("0.0.0.0:9900")), ..Overrides::default() };
    let mut config = config(vec![]);
    let problems = overrides.apply(&mut config).unwrap_err();
    assert!(problems[0].contains("0.0.0.0:9900 is off loopback without a token"), "{problems:?}");
    config.proxy.admin.token = Some(Secret::new("s"));
    overrides.apply(&mut config).unwrap();
}

#[test]
fn urls_replace_the_endpoints_and_nothing_is_started() {
    let mut service = real("users", &[("localhost", 8000), ("localhost", 8001)]);
    service.upstreams[1].weight = 3;
    service.command = command(false);
    let mut config = config(vec![service, real("orders", &[("localhost", 9000)])]);
    let urls = ["users=http://a:1", "users=http://b:2", "users=http://c:3"];
    let urls = urls.iter().map(|url| parse_url(url).unwrap()).collect();
    Overrides { urls, ..Overrides::default() }.apply(&mut config).unwrap();
    let users = config.service("users").unwrap();
    let endpoints: Vec<_> =
        users.upstreams.iter().map(|it| (it.host_port().unwrap(), it.weight)).collect();
    assert_eq!(endpoints, [(("a", 1), 1), (("b", 2), 3), (("c", 3), 1)]);
    assert_eq!(users.command, None);
    assert_eq!(config.service("orders").unwrap().upstreams[0].authority(), "localhost:9000");
}

#[test]
fn every_url_that_names_nothing_real_is_told() {
    let mut config = config(vec![mock("a", None, vec![]), infra("db", "postgres", &[])]);
    let urls = ["b=http://x", "db=http://x", "a=http://x"].map(|url| parse_url(url).unwrap());
    let overrides = Overrides { urls: urls.to_vec(), ..Overrides::default() };
    assert_eq!(
        overrides.apply(&mut config).unwrap_err(),
        ["--url names no declared service: \"b\"", "--url names \"db\", which is infrastructure"]
    );
    assert_eq!(config.service("a").unwrap().upstreams[0].host_port(), Some(("x", 80)));
}

#[test]
fn bytes_and_http_are_not_each_others_urls() {
    let service = |kind| Service { kind, ..real("a", &[("h", 1)]) };
    let apply = |kind, url: &str| {
        let mut config = config(vec![service(kind)]);
        let urls = vec![parse_url(url).unwrap()];
        Overrides { urls, ..Overrides::default() }.apply(&mut config)?;
        Ok::<_, Vec<String>>(config.services[0].upstreams[0].scheme)
    };
    assert_eq!(apply(Kind::Http, "a=https://h"), Ok(Scheme::Https));
    assert_eq!(apply(Kind::Tcp, "a=tls://h:1"), Ok(Scheme::Tls));
    assert_eq!(apply(Kind::Http, "a=unix:/s"), Ok(Scheme::Http));
    assert_eq!(apply(Kind::Tcp, "a=unix:/s"), Ok(Scheme::Tcp));
    let problems = apply(Kind::Tcp, "a=http://h").unwrap_err();
    assert_eq!(problems, ["--url a=http://h does not fit: \"a\" is a service of bytes"]);
    let problems = apply(Kind::Http, "a=tcp://h:1").unwrap_err();
    assert_eq!(problems, ["--url a=tcp://h:1 does not fit: \"a\" is a service of HTTP"]);
}

#[test]
fn rules_are_classes_ranges_addresses_and_hosts() {
    assert_eq!(parse_allow("none"), Ok(Vec::new()));
    let rules = parse_allow("private, 192.0.2.7,*.Example.com").unwrap();
    assert_eq!(allow_text(&rules), "private,192.0.2.7/32,*.example.com");
    assert!(parse_allow("10.0.0.0/99").unwrap_err().contains("not an address range"));
    for bad in ["", "a,,b", "a b", "http://x"] {
        assert!(parse_allow(bad).is_err(), "{bad}");
    }
}

#[test]
fn wrong_values_are_named() {
    assert!(parse_events("kafka://x").unwrap_err().contains("unknown events \"kafka://x\""));
    assert!(parse_events("nats://").is_err());
    for text in ["users", "=http://a"] {
        assert!(parse_url(text).unwrap_err().contains(text), "{text}");
    }
    let bad = [
        "users=ftp://a",
        "users=tcp://a",
        "users=http://",
        "users=http://a:b",
        "users=http://a:0",
        "users=http://a?q",
        "users=http://[::1",
        "u=http://[::1]x",
    ];
    for text in bad {
        let wrong = parse_url(text).unwrap_err();
        let (_, url) = text.split_once('=').unwrap();
        let scheme = url.split(':').next().unwrap();
        assert!(wrong.contains(url) || wrong.contains(scheme), "{text}: {wrong}");
    }
    assert!(!parse_url("users=http://u:hunter2@a").unwrap_err().contains("hunter2"));
    let (name, url) = parse_url("users=http://A/base/").unwrap();
    assert_eq!((name.as_str(), url.host_port()), ("users", Some(("a", 80))));
    assert_eq!(url.base_path, "/base");
}
