//! TLS, HTTP/2, sockets and plain TCP: what the file says becomes what the model holds.

use super::config;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;
use stitch_config::load;
use stitch_config::model::{
    Certificate, ClientTls, Kind, ListenAddress, Mode, PemFile, ProxyProtocol, Scheme,
};

fn everything() -> stitch_config::Config {
    load(Path::new("tests/fixtures/valid/everything.yaml"), &super::env).config
}

fn here(name: &str) -> std::path::PathBuf {
    Path::new("tests/fixtures/valid").join(name)
}

fn files(pair: &Certificate) -> [&Path; 2] {
    pair.files().map(|file| file.path.as_path())
}

#[test]
fn the_listeners_as_written() {
    let proxy = everything().proxy;
    assert_eq!(proxy.listen[2], ListenAddress::Unix("/run/stitch.sock".into()));
    assert_eq!(proxy.listen[3], ListenAddress::Unix(here("stitch.sock")));
    assert_eq!(proxy.transparent[1], "[::1]:15001".parse().unwrap());
    assert!(proxy.proxy_protocol && proxy.forward.intercept_tls);
    let tls = proxy.tls.unwrap();
    let pairs: Vec<_> = tls.certificates.iter().map(files).collect();
    assert_eq!(pairs[0], [here("a.crt"), here("a.key")]);
    assert_eq!(pairs[1], [here("certs/b.crt").as_path(), Path::new("/etc/b.key")]);
    let PemFile { path, place } = tls.client_ca.unwrap();
    assert_eq!((path, place.line), (here("ca.crt"), 13));
}

#[test]
fn one_certificate_needs_no_list() {
    let config = config("proxy: { tls: { cert: a.crt, key: keys/a.key } }");
    let tls = config.proxy.tls.unwrap();
    assert_eq!(tls.certificates.len(), 1);
    assert_eq!(files(&tls.certificates[0]), [Path::new("a.crt"), Path::new("keys/a.key")]);
    assert_eq!(tls.client_ca, None);
}

#[test]
fn services_listen_beside_the_first_address() {
    for (listen, ip) in [
        ("[\"unix:a\", 0.0.0.0:1, 127.0.0.1:2]", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ("\"unix:a\"", IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ] {
        let config = config(&format!("proxy: {{ listen: {listen} }}"));
        assert_eq!(config.proxy.service_ip(), ip);
    }
}

#[test]
fn bytes_as_written() {
    let config = everything();
    let db = config.service("db").unwrap();
    assert_eq!((db.kind, db.mode, db.port), (Kind::Tcp, Mode::Real, Some(15432)));
    let urls: Vec<_> = db.upstreams.iter().map(|u| (u.scheme, u.to_string(), u.weight)).collect();
    let socket = format!("unix:{}", here("db.sock").display());
    assert_eq!(
        urls,
        [
            (Scheme::Tcp, "tcp://localhost:5432".to_owned(), 1),
            (Scheme::Tls, "tls://db.example.com:5432".to_owned(), 2),
            (Scheme::Tcp, socket, 1),
        ]
    );
    assert_eq!(db.proxy_protocol, Some(ProxyProtocol::V2));
    assert_eq!(db.timeout.request, None, "not inherited: there are no requests");
    assert_eq!(
        (db.timeout.connect, db.timeout.idle),
        (Duration::from_secs(2), Duration::from_secs(3600))
    );
    let hosts: Vec<_> = db.hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(hosts, ["db", "db.localhost"], "for TLS with that name");
    assert_eq!((&db.health_path, &db.health_grpc), (&None, &None));
}

#[test]
fn a_program_of_bytes_has_no_health_page() {
    let config = config("services: { db: { type: tcp, url: tcp://localhost:1, command: serve } }");
    assert_eq!(config.services[0].health_path, None);
}

#[test]
fn a_program_of_http2_alone_has_no_health_page_unless_it_says_so() {
    let config = config(
        "services:\n\
         \x20 grpc: { url: h2c://localhost:1, command: serve }\n\
         \x20 paged: { url: h2c://localhost:1, command: serve, health: { path: /up } }\n\
         \x20 secure: { url: https://localhost:1, command: serve }\n",
    );
    let paths: Vec<_> = config.services.iter().map(|it| it.health_path.as_deref()).collect();
    assert_eq!(paths, [None, Some("/up"), Some("/health")]);
}

#[test]
fn https_and_http_stand_together() {
    let config = everything();
    let api = config.service("api").unwrap();
    let schemes: Vec<_> = api.upstreams.iter().map(|upstream| upstream.scheme).collect();
    assert_eq!(schemes, [Scheme::Https, Scheme::Http]);
    assert_eq!(api.upstreams[0].host_port(), Some(("api.example.com", 443)));
    assert_eq!(api.timeout.idle, Duration::from_secs(600), "inherited");
    let ClientTls { ca, certificate, sni, insecure } = &api.tls;
    assert_eq!(ca.as_ref().unwrap().path, here("ca.crt"));
    assert_eq!(files(certificate.as_ref().unwrap()), [here("c.crt"), here("c.key")]);
    assert_eq!((sni.as_deref(), *insecure), (Some("other.name"), false));
}

#[test]
fn http2_and_sockets_as_written() {
    let config = everything();
    let grpc = config.service("grpc").unwrap();
    assert_eq!(grpc.upstreams[0].scheme, Scheme::H2c);
    assert_eq!((&grpc.health_path, grpc.health_grpc.as_deref()), (&None, Some("")));
    let socket = config.service("socket").unwrap();
    let urls: Vec<_> = socket.upstreams.iter().map(|u| (u.scheme, u.to_string())).collect();
    assert_eq!(urls[0], (Scheme::Http, "unix:/run/c.sock".to_owned()));
    assert_eq!(urls[1].1, "unix:tests/fixtures/valid/./c.sock");
}

#[test]
fn routes_override_the_idle_time() {
    let idle = everything().routes.iter().map(|route| route.timeout.idle).collect::<Vec<_>>();
    assert_eq!(idle[..2], [None, Some(Duration::from_secs(60))]);
}

#[test]
fn every_named_file_is_listed() {
    let config = everything();
    let names: Vec<_> = config.pem_files().map(|file| file.path.file_name().unwrap()).collect();
    let expected = ["a.crt", "a.key", "b.crt", "b.key", "ca.crt", "c.crt", "c.key", "ca.crt"];
    assert_eq!(names, expected);
}
