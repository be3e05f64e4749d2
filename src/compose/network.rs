//! What a network of containers changes about a configuration.
//!
//! On the developer's machine everything is `localhost`; in the network each service is a name.
//! This file decides, without touching anything, where our container listens, which broker it
//! uses, whom it trusts, and where each real service is to be found from inside.

use super::overrides::Overrides;
use super::ports::infra_at;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{
    AllowRule, Events, Kind, ListenAddress, NetClass, Service, Upstream, UpstreamAddress,
};

/// How a container reaches a program on the developer's machine.
pub(super) const HOST_MACHINE: &str = "host.docker.internal";
/// What a NATS image listens on unless told otherwise.
const NATS_PORT: u16 = 4222;
/// Ours when the file asks for a free port, which nobody could find from outside a container.
const LISTEN_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9900;

/// The decisions.
#[derive(Debug)]
pub(super) struct Network {
    /// What `stitch up` inside the container is told.
    pub(super) overrides: Overrides,
    /// The real services that run as containers.
    pub(super) reals: Vec<Real>,
    /// Whether something on the developer's machine is reached.
    pub(super) needs_host: bool,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// A real service in a container of its own.
#[derive(Debug)]
pub(super) struct Real {
    /// As declared.
    pub(super) service: Arc<Service>,
    /// Its name in the network; the declared name is ours.
    pub(super) container: String,
}

/// Where a real endpoint is, seen from our container.
enum Whereabouts {
    Container(String, u16),
    HostMachine,
    AsWritten,
}

impl Network {
    /// Decides for a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let listen = listen_ports(config).into_iter().map(|port| SocketAddr::new(any, port).into());
        let mut network = Self {
            overrides: Overrides {
                listen: listen.collect(),
                admin: Some(admin(config)),
                forward_allow: Some(in_network(&config.proxy.forward.allow, false)),
                trust: Some(in_network(&config.proxy.trust, true)),
                ..Overrides::default()
            },
            reals: reals(config),
            needs_host: false,
            warnings: Vec::new(),
        };
        network.overrides.events = Some(network.events(config));
        for service in config.services.iter().filter(|service| service.kind != Kind::Infra) {
            network.place_service(config, service);
        }
        network
    }

    fn events(&mut self, config: &Config) -> Events {
        match &config.events {
            Events::Auto => match config.services.iter().find(|service| is_nats(service)) {
                Some(nats) => Events::Nats(format!("nats://{}:{NATS_PORT}", nats.name)),
                None => Events::InProcess,
            },
            Events::InProcess => Events::InProcess,
            Events::Nats(url) => Events::Nats(self.broker(config, url)),
        }
    }

    /// The url of the broker from inside; one that is not on this machine is left as written.
    fn broker(&mut self, config: &Config, url: &str) -> String {
        let Some(rest) = url.strip_prefix("nats://") else { return url.to_owned() };
        let (user, address) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let address = address.trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let port = port.parse().unwrap_or(NATS_PORT);
        if !is_this_machine(host.trim_matches(['[', ']'])) {
            return url.to_owned();
        }
        let at = if user.is_empty() { "" } else { "@" };
        if let Some((name, port)) = infra_at(config, port) {
            return format!("nats://{user}{at}{name}:{port}");
        }
        self.needs_host = true;
        format!("nats://{user}{at}{HOST_MACHINE}:{port}")
    }

    /// Tells `up` where the endpoints of one service are, when that differs from the file. A
    /// `command` never runs inside our container: such a service is always told.
    fn place_service(&mut self, config: &Config, service: &Service) {
        if service.upstreams.is_empty() {
            if service.image.is_some() || service.build.is_some() {
                self.warnings.push(format!(
                    "{}: its image is not started, since it has no url and only its mock answers",
                    service.name
                ));
            }
            return;
        }
        let container = self.reals.iter().find(|real| real.service.name == service.name);
        let container = container.map(|real| real.container.clone());
        let mut differs = service.command.is_some();
        let mut urls = Vec::with_capacity(service.upstreams.len());
        for upstream in &service.upstreams {
            let Some(written) = upstream.host_port() else {
                self.warnings.push(out_of_reach(service, upstream));
                urls.push((service.name.to_string(), upstream.clone()));
                continue;
            };
            let (mut host, mut port) = (written.0.to_owned(), written.1);
            match whereabouts(config, written, container.as_deref()) {
                Whereabouts::Container(name, at) => (host, port) = (name, at),
                Whereabouts::HostMachine => {
                    self.needs_host = true;
                    self.warnings.push(on_this_machine(service, upstream, port));
                    HOST_MACHINE.clone_into(&mut host);
                }
                Whereabouts::AsWritten if host == *service.name => {
                    self.warnings.push(asks_itself(service, upstream));
                }
                Whereabouts::AsWritten => {}
            }
            if host != written.0 && asks_for_the_host(service, upstream) {
                self.warnings.push(other_name(service, &host));
            }
            differs |= (host.as_str(), port) != written;
            let address = UpstreamAddress::Host { host, port };
            urls.push((service.name.to_string(), Upstream { address, ..upstream.clone() }));
        }
        if differs {
            self.overrides.urls.extend(urls);
        }
    }
}

fn on_this_machine(service: &Service, upstream: &Upstream, port: u16) -> String {
    format!(
        "{}: {upstream} is a program on this machine, reached as {HOST_MACHINE}:{port}; it must \
         listen on 0.0.0.0, or give the service an image: or build:",
        service.name,
    )
}

fn asks_itself(service: &Service, upstream: &Upstream) -> String {
    format!(
        "{}: {upstream} is stitch itself inside the network; give the service an image: or build:",
        service.name,
    )
}

fn out_of_reach(service: &Service, upstream: &Upstream) -> String {
    format!(
        "{}: {upstream} is a socket of this machine, which no container reaches; give the service a \
         url with a host",
        service.name,
    )
}

/// Whether TLS checks for the name that the url has.
fn asks_for_the_host(service: &Service, upstream: &Upstream) -> bool {
    upstream.scheme.is_tls() && service.tls.sni.is_none() && !service.tls.insecure
}

fn other_name(service: &Service, host: &str) -> String {
    format!(
        "{}: its certificate has to be for {host}, which it is reached as; or set tls.sni",
        service.name
    )
}

fn whereabouts(config: &Config, (host, port): (&str, u16), container: Option<&str>) -> Whereabouts {
    if let Some(container) = container {
        return Whereabouts::Container(container.to_owned(), port);
    }
    if !is_this_machine(host) || own_ports(config).contains(&port) {
        return Whereabouts::AsWritten;
    }
    match infra_at(config, port) {
        Some((name, port)) => Whereabouts::Container(name.to_owned(), port),
        None => Whereabouts::HostMachine,
    }
}

/// Real services that bring an image: `NAME-real`, or the next free name after it.
fn reals(config: &Config) -> Vec<Real> {
    let is_real = |service: &&Arc<Service>| {
        service.kind != Kind::Infra
            && !service.upstreams.is_empty()
            && (service.image.is_some() || service.build.is_some())
    };
    let named = |service: &Arc<Service>| {
        let first = format!("{}-real", service.name);
        let more = (2..).map(|n| format!("{first}-{n}"));
        let free = |name: &String| config.service(name).is_none();
        let container = std::iter::once(first.clone()).chain(more).find(free);
        Real { service: Arc::clone(service), container: container.unwrap_or(first) }
    };
    config.services.iter().filter(is_real).map(named).collect()
}

/// The ports of `listen`, each once; ours where it has none, since sockets stay in the container.
pub(super) fn listen_ports(config: &Config) -> Vec<u16> {
    let port = |address: SocketAddr| match address.port() {
        0 => LISTEN_PORT,
        port => port,
    };
    let mut ports = Vec::new();
    for port in config.proxy.listen.iter().filter_map(ListenAddress::tcp).map(port) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    if ports.is_empty() {
        ports.push(LISTEN_PORT);
    }
    ports
}

/// Every port that our container listens on, admin apart.
pub(super) fn own_ports(config: &Config) -> BTreeSet<u16> {
    let services = config.services.iter().filter_map(|service| service.port);
    listen_ports(config).into_iter().chain(services.filter(|port| *port != 0)).collect()
}

/// Inside the container only, unless a token guards it.
fn admin(config: &Config) -> SocketAddr {
    let taken = own_ports(config);
    let wanted = match config.proxy.admin.listen.port() {
        0 => ADMIN_PORT,
        port => port,
    };
    let port = (wanted..=u16::MAX).find(|port| !taken.contains(port)).unwrap_or(ADMIN_PORT);
    let ip = match config.proxy.admin.token {
        Some(_) => Ipv4Addr::UNSPECIFIED,
        None => Ipv4Addr::LOCALHOST,
    };
    SocketAddr::new(IpAddr::V4(ip), port)
}

/// On the developer's machine `loopback` means the programs being developed. In the network those
/// are containers, that is `private`; loopback is then our container alone, which only health
/// checks speak from.
fn in_network(rules: &[AllowRule], keep_loopback: bool) -> Vec<AllowRule> {
    let private = AllowRule::Class(NetClass::Private);
    let mut out: Vec<AllowRule> = Vec::with_capacity(rules.len() + 1);
    let mut push = |rule: AllowRule| {
        if !out.contains(&rule) {
            out.push(rule);
        }
    };
    for rule in rules {
        if *rule == AllowRule::Class(NetClass::Loopback) {
            push(private.clone());
            if !keep_loopback {
                continue;
            }
        }
        push(rule.clone());
    }
    out
}

/// By the name of its image (`nats`, `acme/nats:2.10`), or by its own.
fn is_nats(service: &Arc<Service>) -> bool {
    let image = service.image.as_deref().unwrap_or_default();
    let repository = image.rsplit('/').next().unwrap_or_default();
    let repository = repository.split([':', '@']).next().unwrap_or_default();
    service.kind == Kind::Infra && (repository == "nats" || &*service.name == "nats")
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
