//! `proxy:` — listeners, limits and what HTTP_PROXY clients may reach.

use super::{ListenAddress, Secret, ServerTls};
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The proxy's own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// `listen`: reverse and HTTP_PROXY traffic. Never empty. Default `127.0.0.1:8080`.
    pub listen: Vec<ListenAddress>,
    /// `transparent`: where redirected connections arrive. Empty by default.
    pub transparent: Vec<SocketAddr>,
    /// `tls`: the certificates of `listen` and of service ports.
    pub tls: Option<ServerTls>,
    /// `proxy_protocol`: every connection to `listen` and to service ports begins with a PROXY
    /// header. Default false.
    pub proxy_protocol: bool,
    /// `admin`. Default `127.0.0.1:9900`.
    pub admin: Admin,
    /// `workers`. Default one per core.
    pub workers: Workers,
    /// `forward`.
    pub forward: Forward,
    /// `trust`: who may set x-forwarded-*, forwarded and x-stitch-* headers. Default loopback.
    pub trust: Vec<AllowRule>,
    /// `access_log`.
    pub access_log: AccessLog,
    /// `limits`.
    pub limits: Limits,
    /// `drain`: how long requests in flight may take after SIGTERM. Default 10 s.
    pub drain: Duration,
}

impl Proxy {
    /// The IP on which services have their own ports: that of the first `listen` that has one,
    /// else loopback.
    pub fn service_ip(&self) -> IpAddr {
        let first = self.listen.iter().find_map(ListenAddress::tcp);
        first.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
    }
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// `Authorization: Bearer` token; the loader requires one off loopback.
    pub token: Option<Secret>,
}

/// How many worker threads serve requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per core.
    Auto,
    /// Exactly this many, at least 1.
    Count(usize),
}

/// What HTTP_PROXY clients may reach beyond declared services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Classes, CIDRs and host globs. Default: all classes on loopback listeners, none otherwise.
    pub allow: Vec<AllowRule>,
    /// Ports that CONNECT may reach (any loopback port is allowed besides). Default 443 and 8443.
    pub connect_ports: Vec<u16>,
    /// Whether TLS inside CONNECT is terminated here, so that it can be routed and mocked. Default
    /// false.
    pub intercept_tls: bool,
}

/// One entry of an allow or trust list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowRule {
    /// A class of addresses.
    Class(NetClass),
    /// An address range.
    Net(IpNet),
    /// A host name, `*` standing for any characters (`*.example.com`). Compared in lower case.
    Host(String),
}

/// Classes of addresses; every address belongs to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetClass {
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// RFC 1918, RFC 6598, RFC 4193 and link-local addresses.
    Private,
    /// Everything else.
    Public,
}

impl NetClass {
    /// The class of an address; IPv4-mapped IPv6 addresses count as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) if v4.is_loopback() => Self::Loopback,
            IpAddr::V6(v6) if v6.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                let carrier = a == 100 && (64..128).contains(&b);
                if v4.is_private() || v4.is_link_local() || carrier {
                    Self::Private
                } else {
                    Self::Public
                }
            }
            IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Private,
            IpAddr::V6(_) => Self::Public,
        }
    }
}

impl fmt::Display for AllowRule {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(NetClass::Loopback) => f.write_str("loopback"),
            Self::Class(NetClass::Private) => f.write_str("private"),
            Self::Class(NetClass::Public) => f.write_str("public"),
            Self::Net(net) => net.fmt(f),
            Self::Host(host) => f.write_str(host),
        }
    }
}

impl AllowRule {
    /// Whether an address falls under the rule; host globs never match an address.
    pub fn matches_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Class(class) => NetClass::of(address) == *class,
            Self::Net(net) => net.contains(&address.to_canonical()),
            Self::Host(_) => false,
        }
    }
}

/// `access_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// `format`. Default text.
    pub format: AccessLogFormat,
    /// `to`. Default stderr.
    pub to: AccessLogTarget,
    /// `only`. Default errors.
    pub only: AccessLogOnly,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One readable line.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// Which requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogOnly {
    /// All.
    All,
    /// Those the proxy itself answered with an error, and every 5xx.
    Errors,
    /// `"status >= 400"`: those with at least this status.
    StatusFrom(u16),
}

/// Bounds on what clients may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of a header section in bytes. Default 64 KiB, at least 8 KiB.
    pub header_bytes: usize,
    /// Size of a request body in bytes; none by default.
    pub body: Option<u64>,
    /// Connections held at once over all listeners. Default 10 000.
    pub connections: usize,
    /// Time to finish a header section. Default 10 s.
    pub header_timeout: Duration,
    /// How long a client connection may stay idle between requests. Default 75 s.
    pub idle: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_one_class() {
        for (address, class) in [
            ("127.0.0.1", NetClass::Loopback),
            ("127.255.0.9", NetClass::Loopback),
            ("::1", NetClass::Loopback),
            ("::ffff:127.0.0.1", NetClass::Loopback),
            ("10.1.2.3", NetClass::Private),
            ("172.16.0.1", NetClass::Private),
            ("100.64.0.1", NetClass::Private),
            ("100.128.0.1", NetClass::Public),
            ("169.254.169.254", NetClass::Private),
            ("fd00:ec2::254", NetClass::Private),
            ("fe80::1", NetClass::Private),
            ("8.8.8.8", NetClass::Public),
            ("2001:db8::1", NetClass::Public),
        ] {
            assert_eq!(NetClass::of(address.parse().unwrap()), class, "{address}");
        }
    }

    #[test]
    fn rules_match_addresses_and_hosts_never_do() {
        let address = "10.1.2.3".parse().unwrap();
        assert!(AllowRule::Class(NetClass::Private).matches_address(address));
        assert!(!AllowRule::Class(NetClass::Public).matches_address(address));
        assert!(AllowRule::Net("10.0.0.0/8".parse().unwrap()).matches_address(address));
        assert!(!AllowRule::Host("*".to_owned()).matches_address(address));
        let mapped = "::ffff:10.1.2.3".parse().unwrap();
        assert!(AllowRule::Net("10.0.0.0/8".parse().unwrap()).matches_address(mapped));
    }
}
