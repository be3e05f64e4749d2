//! The environment that makes a program talk through the proxy.
//!
//! `NO_PROXY` is set to nothing on purpose: it overrides an inherited list, because services on
//! localhost are exactly what should be proxied.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Both cases: curl reads only `http_proxy`, others only the capitals.
const PROXY: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Where the proxy can be reached, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyAddress {
    authority: String,
    user: Option<String>,
}

impl ProxyAddress {
    /// `host:port`, to connect to.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The address, known as a service's: the proxy takes the user for the caller's name.
    #[must_use]
    pub(crate) fn named(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.user = Some(name.to_owned());
        }
        self
    }

    /// Every variable to set.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let proxy = PROXY.iter().map(|name| (*name, self.to_string()));
        proxy.chain(EXCEPT.iter().map(|name| (*name, String::new()))).collect()
    }
}

/// The name of every variable, for taking them back.
pub(crate) fn variable_names() -> impl Iterator<Item = &'static str> {
    PROXY.into_iter().chain(EXCEPT)
}

impl From<SocketAddr> for ProxyAddress {
    fn from(address: SocketAddr) -> Self {
        Self { authority: reachable(address).to_string(), user: None }
    }
}

impl FromStr for ProxyAddress {
    type Err = String;

    /// `http://host:port`, `http://name@host:port` or `host:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is no proxy address such as http://127.0.0.1:8080");
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(bad()),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user.trim_end_matches(':').to_owned()), authority),
            None => (None, rest),
        };
        match parse_authority(authority) {
            Some(_) => Ok(Self { authority: authority.to_owned(), user }),
            None => Err(bad()),
        }
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "http://{user}@{}", self.authority),
            None => write!(f, "http://{}", self.authority),
        }
    }
}

/// The address at which a listener is reached from the same machine: `0.0.0.0` listens, but is
/// nothing to connect to.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Host and port of `host:port`; the port must be one to connect to.
pub(crate) fn parse_authority(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let in_brackets = bare.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let named = !host.is_empty() && host.chars().all(plain);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (in_brackets || named).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ProxyAddress {
        text.parse().unwrap()
    }

    #[test]
    fn every_program_finds_its_spelling() {
        let variables = address("127.0.0.1:8080").variables();
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            assert!(variables.contains(&(name, "http://127.0.0.1:8080".to_owned())), "{name}");
        }
        assert!(variables.contains(&("NO_PROXY", String::new())));
        assert!(variables.contains(&("no_proxy", String::new())));
        assert_eq!(variables.len(), variable_names().count());
    }

    #[test]
    fn a_name_becomes_the_proxy_user() {
        let proxy = address("http://localhost:1").named(Some("web"));
        assert_eq!(proxy.to_string(), "http://web@localhost:1");
        assert_eq!(proxy.authority(), "localhost:1");
        assert_eq!(proxy.named(None).to_string(), "http://web@localhost:1");
        assert_eq!(address("http://a:@h:1/").named(Some("b")).to_string(), "http://b@h:1");
    }

    #[test]
    fn wildcards_are_reached_over_loopback() {
        let from = |text: &str| ProxyAddress::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(from("0.0.0.0:8080").authority(), "127.0.0.1:8080");
        assert_eq!(from("[::]:8080").authority(), "[::1]:8080");
        assert_eq!(from("10.0.0.7:8080").authority(), "10.0.0.7:8080");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        for text in
            ["", "host", "host:", "host:0", ":80", "https://h:1", "h:1/x", "h h:1", "::1:80"]
        {
            let error = text.parse::<ProxyAddress>().unwrap_err();
            assert!(error.contains(&format!("\"{text}\"")), "{error}");
        }
        assert_eq!(address("http://[::1]:80").authority(), "[::1]:80");
    }
}
