//! Which service a request on the shared listener is for, and who may say so.

use hashbrown::HashMap;
use http::Request;
use http::header::HOST;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{AllowRule, HostPattern};
use stitch_net::Body;
use stitch_net::reason::SERVICE;

/// Trust, service names and hosts of one configuration.
#[derive(Debug, Default)]
pub(crate) struct FrontDoor {
    trust: Vec<AllowRule>,
    services: Vec<Arc<str>>,
    /// Owners with a port before those without.
    exact: HashMap<String, Vec<Owner>>,
    /// Suffixes with their dot, longest first.
    suffixes: Vec<(String, Owner)>,
}

/// A service that has a host, perhaps only on one port.
#[derive(Debug)]
struct Owner {
    port: Option<u16>,
    service: Arc<str>,
}

impl Owner {
    fn takes(&self, port: Option<u16>) -> bool {
        self.port.is_none_or(|wanted| port == Some(wanted))
    }
}

impl FrontDoor {
    pub(crate) fn new(config: &Config) -> Self {
        let mut door = Self { trust: config.proxy.trust.clone(), ..Self::default() };
        for service in &config.services {
            door.services.push(service.name.clone());
            for HostPattern { host, port } in &service.hosts {
                let owner = Owner { port: *port, service: service.name.clone() };
                match host.strip_prefix('*') {
                    Some(suffix) => door.suffixes.push((suffix.to_owned(), owner)),
                    None => door.exact.entry(host.clone()).or_default().push(owner),
                }
            }
        }
        for owners in door.exact.values_mut() {
            owners.sort_by_key(|owner| owner.port.is_none());
        }
        door.suffixes.sort_by_key(|(suffix, owner)| (Reverse(suffix.len()), owner.port.is_none()));
        door
    }

    /// Whether `x-stitch-*` headers from this address count.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trust.iter().any(|rule| rule.matches_address(address))
    }

    /// Whether the configuration knows the service at all.
    pub(crate) fn declares(&self, service: &str) -> bool {
        self.services.iter().any(|known| &**known == service)
    }

    /// The service that a request names. Control headers of strangers must be gone by now.
    pub(crate) fn service(&self, request: &Request<Body>) -> Option<Arc<str>> {
        if let Some(named) = request.headers().get(SERVICE).and_then(|name| name.to_str().ok()) {
            return Some(named.into());
        }
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST)?.to_str().ok()?,
        };
        self.by_host(host)
    }

    fn by_host(&self, authority: &str) -> Option<Arc<str>> {
        let authority = authority.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority.as_str(), None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let exact = self.exact.get(host).into_iter().flatten();
        let suffixes = self
            .suffixes
            .iter()
            .filter(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix.as_str()));
        let mut owners = exact.chain(suffixes.map(|(_, owner)| owner));
        owners.find(|owner| owner.takes(port)).map(|owner| owner.service.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(text: &str) -> FrontDoor {
        FrontDoor::new(&crate::testing::config(text))
    }

    #[test]
    fn hosts_are_found_with_and_without_port() {
        let door = door(
            "services:
               users: { endpoints: [ { path: / } ] }
               shop: { hosts: [shop.test, \"shop.test:81\", \"*.shop.test\"], endpoints: [ { path: / } ] }
               admin: { hosts: [\"shop.test:9000\", \"*.admin.shop.test\", \"[::1]\"], endpoints: [ { path: / } ] }",
        );
        for (host, service) in [
            ("users", Some("users")),
            ("USERS.localhost:8080", Some("users")),
            ("shop.test", Some("shop")),
            ("shop.test:9000", Some("admin")),
            ("a.b.shop.test", Some("shop")),
            ("x.admin.shop.test", Some("admin")),
            (".shop.test", None),
            ("other", None),
            ("", None),
        ] {
            assert_eq!(door.by_host(host).as_deref(), service, "{host}");
        }
    }

    #[test]
    fn trust_follows_the_file() {
        let door =
            door("proxy: { trust: [10.0.0.0/8] }\nservices: { a: { endpoints: [ { path: / } ] } }");
        assert!(door.trusts("10.1.2.3".parse().unwrap()));
        assert!(!door.trusts("127.0.0.1".parse().unwrap()));
        assert!(door.declares("a") && !door.declares("b"));
    }
}
