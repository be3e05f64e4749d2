//! Which service a request on the shared listener is for, and who may say so.

use http::Request;
use http::header::HOST;
use std::net::IpAddr;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::AllowRule;
use stitch_config::pattern::{Authority, HostTable};
use stitch_net::Body;
use stitch_net::reason::SERVICE;

/// Trust, service names and hosts of one configuration.
#[derive(Debug, Default)]
pub(crate) struct FrontDoor {
    trust: Vec<AllowRule>,
    services: Vec<Arc<str>>,
    hosts: HostTable<Arc<str>>,
}

impl FrontDoor {
    pub(crate) fn new(config: &Config) -> Self {
        let mut door = Self { trust: config.proxy.trust.clone(), ..Self::default() };
        for service in &config.services {
            door.services.push(service.name.clone());
            for host in &service.hosts {
                door.hosts.insert(host, service.name.clone());
            }
        }
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
        self.hosts.get(Authority::parse(authority)).cloned()
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
