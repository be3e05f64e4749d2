//! Small configurations and scratch directories for the tests of this module.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::{
    AccessLog, AccessLogFormat, AccessLogOnly, AccessLogTarget, Admin, AllowRule, ClientTls,
    Config, Endpoint, Events, Forward, Kind, Limits, LocalCommand, Methods, Mode, NetClass,
    Policies, Proxy, ResponseBody, ResponseSpec, Scheme, Service, Timeouts, Upstream, Workers,
};
use stitch_config::pattern::PathPattern;
use stitch_config::place::Place;

/// A file's defaults around these services.
pub(super) fn config(services: Vec<Service>) -> Config {
    let class = AllowRule::Class;
    Config {
        file: PathBuf::from("stitch.yaml"),
        seed: None,
        vars: Vec::new(),
        proxy: Proxy {
            listen: vec!["127.0.0.1:8080".parse().unwrap()],
            transparent: Vec::new(),
            tls: None,
            proxy_protocol: false,
            admin: Admin { listen: "127.0.0.1:9900".parse().unwrap(), token: None },
            workers: Workers::Auto,
            forward: Forward {
                allow: vec![
                    class(NetClass::Loopback),
                    class(NetClass::Private),
                    class(NetClass::Public),
                ],
                connect_ports: vec![443, 8443],
                intercept_tls: false,
            },
            trust: vec![class(NetClass::Loopback)],
            access_log: AccessLog {
                format: AccessLogFormat::Text,
                to: AccessLogTarget::Stderr,
                only: AccessLogOnly::Errors,
            },
            limits: Limits {
                header_bytes: 64 * 1024,
                body: None,
                connections: 10_000,
                header_timeout: Duration::from_secs(10),
                idle: Duration::from_secs(75),
            },
            drain: Duration::from_secs(10),
        },
        events: Events::Auto,
        services: services.into_iter().map(Arc::new).collect(),
        routes: Vec::new(),
    }
}

fn service(name: &str, kind: Kind, mode: Mode) -> Service {
    Service {
        policies: Policies::default(),
        health_check: None,
        name: name.into(),
        place: Place::default(),
        kind,
        upstreams: Vec::new(),
        tls: ClientTls::default(),
        proxy_protocol: None,
        port: None,
        hosts: Vec::new(),
        preserve_host: false,
        mode,
        mock_on: vec![501],
        timeout: Timeouts::default(),
        endpoints: Vec::new(),
        subscriptions: Vec::new(),
        command: None,
        env: Vec::new(),
        image: None,
        build: None,
        ports: Vec::new(),
        volumes: Vec::new(),
        environment: None,
        depends_on: Vec::new(),
        health_path: None,
        health_grpc: None,
    }
}

/// A mock with these endpoints.
pub(super) fn mock(name: &str, port: Option<u16>, endpoints: Vec<Endpoint>) -> Service {
    let endpoints = endpoints.into_iter().map(Arc::new).collect();
    Service { port, endpoints, ..service(name, Kind::Http, Mode::Mock) }
}

/// A real service at these hosts and ports.
pub(super) fn real(name: &str, upstreams: &[(&str, u16)]) -> Service {
    let upstream = |(host, port): &(&str, u16)| Upstream::http(*host, *port);
    let upstreams = upstreams.iter().map(upstream).collect();
    Service { upstreams, ..service(name, Kind::Http, Mode::Real) }
}

/// Bytes that are passed on to this host and port.
pub(super) fn bytes(name: &str, scheme: Scheme, host: &str, port: u16) -> Service {
    let upstream = Upstream { scheme, ..Upstream::http(host, port) };
    Service { kind: Kind::Tcp, upstreams: vec![upstream], ..real(name, &[]) }
}

/// Infrastructure from an image with these ports.
pub(super) fn infra(name: &str, image: &str, ports: &[&str]) -> Service {
    let ports = ports.iter().map(|port| (*port).to_owned()).collect();
    Service { image: Some(image.to_owned()), ports, ..service(name, Kind::Infra, Mode::Real) }
}

/// A program that `stitch up` would start.
pub(super) fn command(proxied: bool) -> Option<LocalCommand> {
    Some(LocalCommand {
        argv: vec!["serve".to_owned()],
        directory: PathBuf::from("."),
        proxied,
        place: Place::default(),
    })
}

/// `GET /` answered with the content of a file.
pub(super) fn endpoint_file(path: &Path) -> Endpoint {
    Endpoint {
        id: "a GET /".into(),
        path_in_file: "services.a.endpoints[0]".to_owned(),
        place: Place::default(),
        path: PathPattern::parse("/").unwrap(),
        methods: Methods::Any,
        response: ResponseSpec {
            status: 200,
            headers: Vec::new(),
            body: ResponseBody::File(path.to_owned(), Place::default()),
            descriptor: true,
        },
        delay: None,
        failures: Vec::new(),
        publishes: Vec::new(),
    }
}

/// A directory of its own for one test, removed at its end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory; the name tells tests of one process apart.
    pub(super) fn new(test: &str) -> Self {
        let name = format!("stitch-compose-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Makes a directory.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
