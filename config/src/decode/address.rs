//! Addresses: where to listen, where a service lives, whom to let through.

use super::later::Capability;
use super::scalar::{FromScalar, scalars};
use super::wrong::Wrong;
use crate::model::{AllowRule, HostPattern, NetClass};
use crate::near;
use serde_json::Number;
use std::net::{IpAddr, SocketAddr};

impl FromScalar for SocketAddr {
    const WHAT: &'static str = "an address such as 127.0.0.1:8080";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text.starts_with("unix:") {
            return Err(Capability::Protocols.refuse(text));
        }
        text.parse().map_err(|_| {
            let wrong = Wrong::new(format!("{text:?} is not an address"));
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            match port.parse::<u16>() {
                Ok(port) if matches!(host, "" | "*") => wrong.hint(format!(
                    "write 127.0.0.1:{port} for this machine alone, or 0.0.0.0:{port} for every network"
                )),
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

/// `url:` taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) base_path: String,
}

impl FromScalar for HttpUrl {
    const WHAT: &'static str = "a URL such as http://localhost:8000";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        // Quoted text is never expanded, and a URL cannot hold a brace.
        if text.contains("${") {
            return Err(Wrong::new(format!("{text:?} stands in quotes, so it is not filled in"))
                .hint("remove the quotes; inside { } write the map over several lines instead"));
        }
        let rest = after_scheme(text)?;
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        // The message must not repeat a password.
        if authority.contains('@') {
            return Err(Wrong::new("the url holds a user name or password").hint(
                "remove what stands before the \"@\"; a client sends its own authorization",
            ));
        }
        if path.contains(['?', '#']) {
            return Err(Wrong::new(format!("the url {text:?} holds a query or fragment")).hint(
                "a url is an address and at most a path that is put before every request's",
            ));
        }
        let (host, port) = host_and_port(authority).ok_or_else(|| {
            Wrong::new(format!("the url {text:?} names no valid host and port"))
                .hint("write http://HOST:PORT, such as http://localhost:8000")
        })?;
        if port == Some(0) {
            return Err(Wrong::new(format!("nothing can listen on port 0 of {text:?}")));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Wrong::new(format!(
                "the path of {text:?} holds a space or foreign letter"
            ))
            .hint("percent-encode it"));
        }
        let base_path = path.trim_end_matches('/').to_owned();
        Ok(Self { host, port: port.unwrap_or(80), base_path })
    }
}

fn after_scheme(text: &str) -> Result<&str, Wrong> {
    if text.starts_with("unix:") {
        return Err(Capability::Protocols.refuse("unix:"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Wrong::new(format!("the url {text:?} has no scheme"))
            .hint(format!("write \"http://{text}\"")));
    };
    match scheme {
        "http" => Ok(rest),
        "https" | "h2c" | "tcp" | "tls" => {
            Err(Capability::Protocols.refuse(&format!("{scheme}://")))
        }
        "ws" => Err(Wrong::new("\"ws://\" is not a scheme of its own here")
            .hint(format!("write \"http://{rest}\"; upgrades to WebSocket pass through"))),
        _ => Err(Wrong::new(format!("unknown scheme {scheme:?} in the url"))
            .hint("only http:// is known")),
    }
}

/// A host in lower case, IPv6 without brackets, and the port when there is one.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
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

scalars!(SocketAddr, HttpUrl, HostPattern, NetRule);

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
            ("unix:/tmp/x", "more protocols"),
        ] {
            let hint = read::<SocketAddr>(text).unwrap_err().hint.unwrap();
            assert!(hint.contains(part), "{text}: {hint}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let url = |host: &str, port, path: &str| {
            Ok(HttpUrl { host: host.to_owned(), port, base_path: path.to_owned() })
        };
        assert_eq!(read("http://LocalHost:8000"), url("localhost", 8000, ""));
        assert_eq!(read("http://a.b/"), url("a.b", 80, ""));
        assert_eq!(read("http://[::1]:81/v1/x/"), url("::1", 81, "/v1/x"));
        assert_eq!(read("http://my_db"), url("my_db", 80, ""));
    }

    #[test]
    fn bad_urls_say_what_to_write() {
        for (text, part) in [
            ("localhost:8000", "no scheme"),
            ("https://a", "\"https://\" is not supported yet"),
            ("h2c://a", "not supported yet"),
            ("unix:/x", "not supported yet"),
            ("ws://a", "not a scheme"),
            ("ftp://a", "unknown scheme"),
            ("http://", "no valid host"),
            ("http://a:99999", "no valid host"),
            ("http://a:+1", "no valid host"),
            ("http://[::1", "no valid host"),
            ("http://[::1]x", "no valid host"),
            ("http://a b", "no valid host"),
            ("http://a:0", "port 0"),
            ("http://a/?x=1", "query or fragment"),
            ("http://a/é", "foreign letter"),
            ("http://me:hunter2@a", "user name or password"),
        ] {
            let wrong = read::<HttpUrl>(text).unwrap_err();
            assert!(wrong.message.contains(part), "{text}: {}", wrong.message);
            assert!(!format!("{wrong:?}").contains("hunter2"));
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
