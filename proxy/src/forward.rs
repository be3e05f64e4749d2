//! What HTTP_PROXY clients may reach beyond declared services.
//!
//! Names are allowed by glob; addresses by class or range, checked on the address that is really
//! connected to, so that a name cannot be re-pointed after the check. Cloud metadata addresses and
//! our own admin listener are never reachable.

use crate::upstream::{AddressGuard, Endpoint, Tls};
use hashbrown::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use stitch_config::model::{AllowRule, NetClass, Proxy, Scheme};
use stitch_config::pattern::Authority;
use stitch_net::tls::TlsError;

/// Targets remembered for their connection pools.
const MOST_TARGETS: usize = 1024;

/// `proxy.forward`, compiled.
#[derive(Debug)]
pub struct ForwardPolicy {
    allow: Vec<AllowRule>,
    connect_ports: Vec<u16>,
    admin: SocketAddr,
    own: Vec<SocketAddr>,
    transparent: Vec<SocketAddr>,
    /// Held for one look-up; never across I/O.
    targets: Mutex<HashMap<(Scheme, String, u16), Arc<Endpoint>>>,
}

/// Where this process itself listens, after binding.
#[derive(Clone, Debug)]
pub struct OwnAddresses {
    /// The shared proxy listeners.
    pub listeners: Vec<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
    /// Where redirected connections arrive.
    pub transparent: Vec<SocketAddr>,
}

/// Lets everything pass: the client asked its own system for the address, not us.
#[derive(Debug)]
struct Anywhere;

impl AddressGuard for Anywhere {
    fn allows(&self, _: IpAddr, _: u16) -> bool {
        true
    }
}

/// What one request may reach: the policy, with what its host name has already earned.
#[derive(Debug)]
struct Guard {
    policy: Vec<AllowRule>,
    admin: SocketAddr,
    /// The name itself is allowed, whatever its address.
    by_name: bool,
}

impl AddressGuard for Guard {
    fn allows(&self, address: IpAddr, port: u16) -> bool {
        !is_never(address)
            && !is_same(self.admin, address, port)
            && (self.by_name || self.policy.iter().any(|rule| rule.matches_address(address)))
    }
}

impl ForwardPolicy {
    /// Compiles the policy.
    pub fn new(proxy: &Proxy, own: OwnAddresses) -> Self {
        Self {
            allow: proxy.forward.allow.clone(),
            connect_ports: proxy.forward.connect_ports.clone(),
            admin: own.admin,
            own: own.listeners,
            transparent: own.transparent,
            targets: Mutex::new(HashMap::new()),
        }
    }

    /// Whether a target is one of our own listeners, so that a request for it means us.
    pub(crate) fn is_own_listener(&self, target: Authority<'_>) -> bool {
        let port = target.port.unwrap_or(80);
        self.own.iter().any(|own| {
            own.port() == port
                && match target.host.parse::<IpAddr>() {
                    Ok(ip) => is_same(*own, ip, port),
                    Err(_) => {
                        target.host.eq_ignore_ascii_case("localhost")
                            && (own.ip().is_loopback() || own.ip().is_unspecified())
                    }
                }
        })
    }

    /// Whether a connection from `near` that was going to an address was meant for us: what it
    /// leads to is here already.
    pub(crate) fn is_own(&self, to: SocketAddr, near: IpAddr) -> bool {
        let listeners = self.own.iter().chain(&self.transparent).chain([&self.admin]);
        let to_us = |listener: &SocketAddr| {
            let (own, ip) = (listener.ip().to_canonical(), to.ip().to_canonical());
            // Who connects to an address of this machine does so from the same one.
            let here = || ip.is_loopback() || ip == near.to_canonical();
            own == ip || own.is_unspecified() && here() || own.is_loopback() && ip.is_loopback()
        };
        listeners.filter(|listener| listener.port() == to.port()).any(to_us)
    }

    /// The endpoint at an address that a redirected connection was going to.
    pub(crate) fn original(&self, scheme: Scheme, to: SocketAddr) -> Arc<Endpoint> {
        let host = to.ip().to_canonical().to_string();
        // Apart from targets of the same address, which are guarded: no name ends in a dot twice.
        let key = (scheme, format!("{host}.."), to.port());
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if targets.len() >= MOST_TARGETS && !targets.contains_key(&key) {
            targets.clear();
        }
        let endpoint =
            || Arc::new(Endpoint::undeclared(scheme, host, to.port(), None, Arc::new(Anywhere)));
        targets.entry(key).or_insert_with(endpoint).clone()
    }

    /// The endpoint for a target that nobody declared. Whether it may be reached is decided when
    /// its address is known.
    ///
    /// # Errors
    /// When TLS cannot be begun with it.
    pub(crate) fn target(
        &self,
        scheme: Scheme,
        host: &str,
        port: u16,
    ) -> Result<Arc<Endpoint>, TlsError> {
        let host = host.to_ascii_lowercase();
        let key = (scheme, host.clone(), port);
        let known = self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let tls = if scheme.is_tls() { Some(Tls::of_anyone(&host)?) } else { None };
        let by_name = self.allow.iter().any(|rule| match rule {
            AllowRule::Host(glob) => glob_matches(glob, &host),
            AllowRule::Class(_) | AllowRule::Net(_) => false,
        });
        let guard = Guard { policy: self.allow.clone(), admin: self.admin, by_name };
        let endpoint = Arc::new(Endpoint::undeclared(scheme, host, port, tls, Arc::new(guard)));
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if targets.len() >= MOST_TARGETS {
            targets.clear();
        }
        Ok(targets.entry(key).or_insert(endpoint).clone())
    }

    /// Whether CONNECT may reach this port of this (resolved) address.
    pub(crate) fn allows_connect(&self, address: SocketAddr) -> bool {
        self.connect_ports.contains(&address.port())
            || NetClass::of(address.ip()) == NetClass::Loopback
    }

    /// The ports that CONNECT may reach, for error texts.
    pub(crate) fn connect_ports(&self) -> &[u16] {
        &self.connect_ports
    }
}

/// Addresses that hand out cloud credentials (link-local metadata services).
fn is_never(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets()[..2] == [169, 254],
        IpAddr::V6(v6) => v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    }
}

/// Whether `address:port` leads to a listener, wildcard listeners included.
fn is_same(listener: SocketAddr, address: IpAddr, port: u16) -> bool {
    let address = match address.to_canonical() {
        // Connecting to the wildcard address connects to loopback.
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    listener.port() == port
        && (listener.ip().to_canonical() == address
            || listener.ip().is_unspecified()
            || listener.ip().is_loopback() && address.is_loopback())
}

/// `*` stands for any characters, dots included.
fn glob_matches(glob: &str, host: &str) -> bool {
    match glob.split_once('*') {
        None => glob == host,
        Some((before, after)) => host.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| glob_matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: Vec<AllowRule>) -> ForwardPolicy {
        ForwardPolicy {
            allow,
            connect_ports: vec![443],
            admin: "127.0.0.1:9900".parse().unwrap(),
            transparent: vec!["127.0.0.1:15001".parse().unwrap()],
            own: vec!["127.0.0.1:8080".parse().unwrap(), "0.0.0.0:8081".parse().unwrap()],
            targets: Mutex::default(),
        }
    }

    fn allows(policy: &ForwardPolicy, host: &str, address: &str, port: u16) -> bool {
        let target = policy.target(Scheme::Http, host, port).unwrap();
        target.guard.as_ref().unwrap().allows(address.parse().unwrap(), port)
    }

    #[test]
    fn classes_ranges_and_names() {
        let open = policy(vec![
            AllowRule::Class(NetClass::Public),
            AllowRule::Net("10.0.0.0/8".parse().unwrap()),
            AllowRule::Host("*.corp.example".into()),
        ]);
        assert!(allows(&open, "example.com", "93.184.216.34", 80));
        assert!(allows(&open, "x", "10.9.9.9", 80));
        assert!(!allows(&open, "x", "192.168.0.1", 80));
        assert!(allows(&open, "A.Corp.Example", "192.168.0.1", 80));
        assert!(!allows(&open, "corp.example", "192.168.0.1", 80));
    }

    #[test]
    fn metadata_and_our_admin_are_never_reachable() {
        let open = policy(vec![
            AllowRule::Class(NetClass::Loopback),
            AllowRule::Class(NetClass::Private),
            AllowRule::Class(NetClass::Public),
            AllowRule::Host("*".into()),
        ]);
        assert!(allows(&open, "x", "127.0.0.1", 80));
        assert!(!allows(&open, "x", "169.254.169.254", 80));
        assert!(!allows(&open, "x", "::ffff:169.254.169.254", 80));
        assert!(!allows(&open, "x", "fd00:ec2::254", 80));
        assert!(!allows(&open, "x", "127.0.0.1", 9900));
        assert!(!allows(&open, "x", "0.0.0.0", 9900));
        assert!(!allows(&open, "x", "127.0.0.9", 9900));
    }

    #[test]
    fn our_own_listeners_are_known() {
        let policy = policy(vec![]);
        let own = |text| policy.is_own_listener(Authority::parse(text));
        assert!(own("127.0.0.1:8080") && own("localhost:8080") && own("10.0.0.1:8081"));
        assert!(!own("127.0.0.1:8082") && !own("users:8080") && !own("10.0.0.1:8080"));
    }

    #[test]
    fn redirected_connections_may_not_lead_to_us() {
        let policy = policy(vec![]);
        let own = |to: &str, near: &str| policy.is_own(to.parse().unwrap(), near.parse().unwrap());
        for ours in ["127.0.0.1:8080", "127.0.0.1:9900", "127.0.0.1:15001", "127.0.0.2:15001"] {
            assert!(own(ours, "127.0.0.1"), "{ours}");
        }
        assert!(
            own("10.0.0.1:8081", "10.0.0.1") && own("[::1]:8081", "::1"),
            "a wildcard listener"
        );
        assert!(!own("10.0.0.1:8081", "10.0.0.2"), "the same port of another machine");
        assert!(!own("10.0.0.1:8080", "10.0.0.1") && !own("127.0.0.1:80", "127.0.0.1"));
    }

    #[test]
    fn a_redirected_connection_reaches_what_forwarding_may_not() {
        let policy = policy(vec![]);
        let to = "169.254.169.254:80".parse().unwrap();
        let original = policy.original(Scheme::Http, to);
        assert_eq!(original.to_string(), "169.254.169.254:80");
        assert!(original.guard.as_ref().unwrap().allows(to.ip(), 80));
        assert!(Arc::ptr_eq(&original, &policy.original(Scheme::Http, to)));
        let target = policy.target(Scheme::Http, "169.254.169.254", 80).unwrap();
        assert!(!target.guard.as_ref().unwrap().allows(to.ip(), 80));
        let mapped = policy.original(Scheme::H2c, "[::ffff:10.0.0.1]:1".parse().unwrap());
        assert_eq!(mapped.to_string(), "10.0.0.1:1");
    }

    #[test]
    fn connect_reaches_listed_ports_and_loopback() {
        let policy = policy(vec![]);
        assert!(policy.allows_connect("1.1.1.1:443".parse().unwrap()));
        assert!(!policy.allows_connect("1.1.1.1:22".parse().unwrap()));
        assert!(policy.allows_connect("127.0.0.1:22".parse().unwrap()));
    }

    #[test]
    fn globs() {
        assert!(glob_matches("*.example.com", "a.b.example.com"));
        assert!(glob_matches("api-*.example.*", "api-1.example.org"));
        assert!(!glob_matches("*.example.com", "example.com"));
        assert!(glob_matches("exact", "exact") && !glob_matches("exact", "exactly"));
    }
}
