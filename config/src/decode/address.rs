//! Addresses: where to listen, hosts, whom to let through.

use super::scalar::{FromScalar, scalars};
use super::url::socket_path;
use super::wrong::Wrong;
use crate::model::{AllowRule, HostPattern, ListenAddress, NetClass};
use crate::near;
use serde_json::Number;
use std::net::{IpAddr, SocketAddr};

impl FromScalar for SocketAddr {
    const WHAT: &'static str = "an address such as 127.0.0.1:8080";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|_| {
            let wrong = Wrong::new(format!("{text:?} is not an address"));
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            match port.parse::<u16>() {
                Ok(port) if matches!(host, "" | "*") => wrong.hint(format!(
                    "write 127.0.0.1:{port} for this machine alone, or 0.0.0.0:{port} for every network"
                )),
                _ if text.starts_with("unix:") => {
                    wrong.hint("a unix: socket can stand in proxy.listen alone; write an IP address and a port")
                }
                Ok(port) if host == "localhost" => wrong.hint(format!("write 127.0.0.1:{port}")),
                Ok(_) => wrong.hint("write an IP address and a port; names are not looked up"),
                Err(_) => wrong.hint("write an IP address and a port, such as 127.0.0.1:8080"),
            }
        })
    }

    fn from_number(_: &Number, text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("the port {text} stands without an address")).hint(format!(
            "write 127.0.0.1:{text} for this machine alone, or 0.0.0.0:{text} for every network"
        )))
    }
}

impl FromScalar for ListenAddress {
    const WHAT: &'static str = "an address such as 127.0.0.1:8080 or unix:/path";

    /// A socket's path stays as it is written.
    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text.strip_prefix("unix:") {
            Some(_) => socket_path(text).map(Self::Unix),
            None => SocketAddr::from_text(text).map(Self::Tcp),
        }
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        SocketAddr::from_number(number, text).map(Self::Tcp)
    }
}

/// A name that a certificate can be for: a DNS name or an IP address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerName(pub(crate) String);

impl FromScalar for ServerName {
    const WHAT: &'static str = "a DNS name or IP address";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let number = last.bytes().all(|byte| byte.is_ascii_digit());
        let edges = |label: &str| label.starts_with('-') || label.ends_with('-');
        let name = is_host(text) && !number && !text.split('.').any(edges);
        match name || text.parse::<IpAddr>().is_ok() {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(Wrong::new(format!("{text:?} is not a DNS name or IP address"))
                .hint("write the name alone, without a port, such as api.example.com")),
        }
    }
}

/// A host in lower case, IPv6 without brackets, and the port when there is one.
pub(super) fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            inside.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (inside, port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            if !is_host(host) {
                return None;
            }
            (host, port)
        }
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// Labels of letters, digits, `-` and `_`, as names in hosts files and Compose networks are.
fn is_host(host: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    host.len() <= 253
        && host
            .trim_end_matches('.')
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.chars().all(good))
}

impl FromScalar for HostPattern {
    const WHAT: &'static str = "a host such as users.localhost";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let (star, plain) = match text.strip_prefix("*.") {
            Some(rest) => ("*.", rest),
            None => ("", text),
        };
        match host_and_port(plain) {
            Some((_, Some(0))) | None => Err(Wrong::new(format!("{text:?} is not a host"))
                .hint("write a name, perhaps with a port, such as shop.localhost or *.shop.localhost:8080")),
            Some((host, port)) => Ok(Self { host: format!("{star}{host}"), port }),
        }
    }
}

/// An entry of `allow` or `trust`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetRule(pub(crate) AllowRule);

impl FromScalar for NetRule {
    const WHAT: &'static str = "loopback, private, public, an address range or a host";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let class = match text {
            "loopback" => Some(NetClass::Loopback),
            "private" => Some(NetClass::Private),
            "public" => Some(NetClass::Public),
            _ => None,
        };
        if let Some(class) = class {
            return Ok(Self(AllowRule::Class(class)));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(AllowRule::Net(address.to_canonical().into())));
        }
        if text.contains('/') {
            return text.parse().map(|net| Self(AllowRule::Net(net))).map_err(|_| {
                Wrong::new(format!("{text:?} is not an address range"))
                    .hint("write it as 10.0.0.0/8 or fd00::/8")
            });
        }
        if let Some(near) = near::nearest(text, ["loopback", "private", "public"]) {
            return Err(Wrong::new(format!("unknown class {text:?}"))
                .hint(format!("did you mean {near:?}?")));
        }
        let lower = text.to_ascii_lowercase();
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
        if lower.is_empty() || !lower.chars().all(good) {
            return Err(Wrong::new(format!("{text:?} is no class, address range or host"))
                .hint("write loopback, private, public, 10.0.0.0/8 or *.example.com"));
        }
        Ok(Self(AllowRule::Host(lower)))
    }
}

scalars!(SocketAddr, ListenAddress, ServerName, HostPattern, NetRule);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    fn read<T: FromScalar>(text: &str) -> Result<T, Wrong> {
        T::from_scalar(&Scalar::plain(text.to_owned()))
    }

    #[test]
    fn listening_needs_an_address() {
        assert!(
            read::<SocketAddr>("127.0.0.1:8080").is_ok() && read::<SocketAddr>("[::1]:0").is_ok()
        );
        for (text, part) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("localhost:9", "write 127.0.0.1:9"),
            ("example.com:9", "not looked up"),
            ("127.0.0.1", "and a port"),
            ("unix:/tmp/x", "proxy.listen alone"),
        ] {
            let hint = read::<SocketAddr>(text).unwrap_err().hint.unwrap();
            assert!(hint.contains(part), "{text}: {hint}");
        }
    }

    #[test]
    fn a_socket_is_an_address_to_listen_on() {
        for (text, read_as) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("unix:/run/x", "unix:/run/x"),
            ("unix:x.sock", "unix:x.sock"),
            ("unix:///run/x", "unix:/run/x"),
        ] {
            assert_eq!(read::<ListenAddress>(text).unwrap().to_string(), read_as);
        }
        assert!(read::<ListenAddress>("8080").unwrap_err().hint.unwrap().contains("127.0.0.1"));
        assert!(read::<ListenAddress>("unix:").is_err());
    }

    #[test]
    fn a_server_name_is_what_a_certificate_can_hold() {
        for (text, name) in [
            ("API.example.com", "api.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("a_b", "a_b"),
        ] {
            assert_eq!(read(text), Ok(ServerName(name.to_owned())));
        }
        for text in ["", "a:443", "*.a", "[::1]", "a b", "-a.b", "a-.b", "1.2.3", "https://a"] {
            assert!(read::<ServerName>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_may_have_a_star_and_a_port() {
        let host = |host: &str, port| Ok(HostPattern { host: host.to_owned(), port });
        assert_eq!(read("Users.localhost"), host("users.localhost", None));
        assert_eq!(read("*.shop.localhost:80"), host("*.shop.localhost", Some(80)));
        for text in ["a*b", "*", "http://a", "a:0", "a..b", "", "a/b"] {
            assert!(read::<HostPattern>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules_are_classes_ranges_or_hosts() {
        let rule = |text| read::<NetRule>(text).map(|rule| rule.0);
        assert_eq!(rule("private"), Ok(AllowRule::Class(NetClass::Private)));
        assert_eq!(rule("10.0.0.0/8"), Ok(AllowRule::Net("10.0.0.0/8".parse().unwrap())));
        assert_eq!(rule("::1"), Ok(AllowRule::Net("::1/128".parse().unwrap())));
        assert_eq!(rule("*.Example.com"), Ok(AllowRule::Host("*.example.com".to_owned())));
        for text in ["10.0.0.0/99", "pubic", "a b"] {
            assert!(rule(text).is_err(), "{text}");
        }
    }
}
