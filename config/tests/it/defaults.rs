//! Every documented default, through the real parser.

use super::config;
use std::time::Duration;
use stitch_config::model::{
    AccessLogFormat, AccessLogOnly, AccessLogTarget, AllowRule, ClientTls, Events, Kind, Methods,
    Mode, NetClass, ResponseBody, RouteAction, Workers,
};

const ALL: [AllowRule; 3] = [
    AllowRule::Class(NetClass::Loopback),
    AllowRule::Class(NetClass::Private),
    AllowRule::Class(NetClass::Public),
];

#[test]
fn of_the_proxy() {
    let config = config("services: {}");
    assert_eq!(config.seed, None);
    assert_eq!(config.events, Events::Auto);
    let proxy = config.proxy;
    assert_eq!(proxy.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!((proxy.transparent.len(), proxy.tls, proxy.proxy_protocol), (0, None, false));
    assert!(!proxy.forward.intercept_tls);
    assert_eq!(proxy.admin.listen, "127.0.0.1:9900".parse().unwrap());
    assert_eq!(proxy.admin.token, None);
    assert_eq!(proxy.workers, Workers::Auto);
    assert_eq!(proxy.forward.allow, ALL);
    assert_eq!(proxy.forward.connect_ports, [443, 8443]);
    assert_eq!(proxy.trust, ALL[..1]);
    assert_eq!(proxy.access_log.format, AccessLogFormat::Text);
    assert_eq!(proxy.access_log.to, AccessLogTarget::Stderr);
    assert_eq!(proxy.access_log.only, AccessLogOnly::Errors);
    assert_eq!(proxy.limits.header_bytes, 64 * 1024);
    assert_eq!(proxy.limits.body, None);
    assert_eq!(proxy.limits.connections, 10_000);
    assert_eq!(proxy.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(proxy.limits.idle, Duration::from_secs(75));
    assert_eq!(proxy.drain, Duration::from_secs(10));
}

#[test]
fn forwarding_is_open_only_while_every_listener_is_on_loopback() {
    let open = config("proxy: { listen: [127.0.0.1:1, \"[::1]:2\", 127.9.9.9:3] }");
    assert_eq!(open.proxy.forward.allow, ALL);
    let exposed = config("proxy: { listen: [127.0.0.1:1, 0.0.0.0:2] }");
    assert_eq!(exposed.proxy.forward.allow, []);
    let socket = config("proxy: { listen: [\"unix:a\", 127.0.0.1:1], transparent: 127.0.0.1:2 }");
    assert_eq!(socket.proxy.forward.allow, ALL);
    let gateway = config("proxy: { transparent: 0.0.0.0:15001 }");
    assert_eq!(gateway.proxy.forward.allow, []);
    let closed = config("proxy: { forward: { allow: [] } }");
    assert_eq!(closed.proxy.forward.allow, []);
}

#[test]
fn of_a_service() {
    let config = config("services: { users: { url: http://localhost } }");
    let users = config.service("users").unwrap();
    assert_eq!(users.kind, Kind::Http);
    let upstream = &users.upstreams[0];
    assert_eq!((upstream.host_port(), upstream.weight), (Some(("localhost", 80)), 1));
    assert_eq!(users.port, None);
    let hosts: Vec<_> = users.hosts.iter().map(|host| (host.host.as_str(), host.port)).collect();
    assert_eq!(hosts, [("users", None), ("users.localhost", None)]);
    assert!(!users.preserve_host);
    assert_eq!(users.mode, Mode::Real);
    assert_eq!(users.mock_on, [501]);
    assert_eq!(users.timeout.connect, Duration::from_secs(2));
    assert_eq!(users.timeout.request, None);
    assert_eq!(users.timeout.idle, Duration::from_secs(300));
    assert_eq!((&users.tls, users.proxy_protocol), (&ClientTls::default(), None));
    assert_eq!(users.command, None);
    assert_eq!((&users.health_path, &users.health_grpc), (&None, &None));
    assert!(users.depends_on.is_empty() && users.env.is_empty());
}

#[test]
fn of_a_command() {
    let config = config("services: { users: { url: http://localhost:1, command: run 'a b' } }");
    let users = config.service("users").unwrap();
    let command = users.command.as_ref().unwrap();
    assert_eq!(command.argv, ["run", "a b"]);
    assert_eq!(command.directory, std::path::Path::new("."));
    assert!(!command.proxied);
    assert_eq!(users.health_path.as_deref(), Some("/health"));
}

#[test]
fn modes_follow_from_what_is_declared() {
    let config = config(
        "services:\n\
         \x20 real: { url: http://localhost:1 }\n\
         \x20 mock: { endpoints: [{ path: / }] }\n\
         \x20 both: { url: http://localhost:1, endpoints: [{ path: / }] }\n\
         \x20 listener: { nats_subscribe: { subject: a, reply: 1 } }\n",
    );
    let mode = |name| config.service(name).unwrap().mode;
    assert_eq!(
        ["real", "mock", "both", "listener"].map(mode),
        [Mode::Real, Mode::Mock, Mode::MockThenReal, Mode::Mock]
    );
}

#[test]
fn of_an_endpoint() {
    let config = config("services: { users: { endpoints: [{ path: / }] } }");
    let endpoint = &config.services[0].endpoints[0];
    assert_eq!(endpoint.methods, Methods::Only(vec![http::Method::GET]));
    assert_eq!((endpoint.response.status, &endpoint.response.body), (200, &ResponseBody::Empty));
    assert_eq!(endpoint.delay, None);
    assert!(endpoint.failures.is_empty() && endpoint.publishes.is_empty());
}

#[test]
fn of_a_route() {
    let config = config(
        "services: { a: { url: http://localhost:1 } }\n\
         routes: [{ match: {}, to: [a, { service: a }] }, { match: /x, redirect: /y }]\n",
    );
    let route = &config.routes[0];
    assert!(route.matches.path.is_everything());
    assert!(route.matches.hosts.is_empty() && route.matches.methods.is_empty());
    assert_eq!((route.priority, route.timeout.connect, route.timeout.request), (0, None, None));
    let RouteAction::Services { targets, rewrite: None, sticky: None } = &route.action else {
        panic!("{:?}", route.action)
    };
    assert_eq!((targets[0].weight, targets[1].weight), (1, 1));
    assert!(matches!(config.routes[1].action, RouteAction::Redirect { status: 307, .. }));
}
