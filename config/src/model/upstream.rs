//! `url:` taken apart: where a real service is and what is spoken there.

use crate::place::Place;
use std::fmt;
use std::path::PathBuf;

/// One real endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What is spoken; over a Unix socket HTTP or, for `type: tcp`, anything.
    pub scheme: Scheme,
    /// Where.
    pub address: UpstreamAddress,
    /// Path prefix of the url without a trailing slash; usually empty.
    pub base_path: String,
    /// Share of requests relative to its siblings, at least 1.
    pub weight: u32,
    /// `tier`: endpoints of tier 2 are used only when tier 1 has none left. Default 1.
    pub tier: u8,
    /// Where it stands in the file.
    pub place: Place,
}

/// Where a real endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// Reached over TCP.
    Host {
        /// Name or address, in lower case, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A socket; the path is already relative to the directory of the declaring file.
    Unix(PathBuf),
}

/// What is spoken with a real endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http://`: HTTP/1.1.
    Http,
    /// `h2c://`: HTTP/2 without TLS, by prior knowledge.
    H2c,
    /// `https://`: HTTP over TLS.
    Https,
    /// `tcp://`: any bytes.
    Tcp,
    /// `tls://`: any bytes, inside TLS that begins here.
    Tls,
}

impl Scheme {
    /// Its name, as in urls.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::H2c => "h2c",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// All schemes.
    pub const ALL: [Self; 5] = [Self::Http, Self::H2c, Self::Https, Self::Tcp, Self::Tls];

    /// The port that a url need not name.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::H2c => Some(80),
            Self::Https => Some(443),
            Self::Tcp | Self::Tls => None,
        }
    }

    /// Whether requests can be sent there; otherwise only bytes.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::H2c | Self::Https)
    }

    /// Whether connections begin with a TLS handshake.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }
}

impl Upstream {
    /// A plain HTTP endpoint that no file declares.
    pub fn http(host: impl Into<String>, port: u16) -> Self {
        Self {
            scheme: Scheme::Http,
            address: UpstreamAddress::Host { host: host.into(), port },
            base_path: String::new(),
            weight: 1,
            tier: 1,
            place: Place::default(),
        }
    }

    /// Host and port, unless it is a Unix socket.
    pub fn host_port(&self) -> Option<(&str, u16)> {
        match &self.address {
            UpstreamAddress::Host { host, port } => Some((host, *port)),
            UpstreamAddress::Unix(_) => None,
        }
    }

    /// `host:port` as in a Host header: brackets around IPv6 addresses, and without the port that
    /// is the scheme's default. `localhost` for a Unix socket.
    pub fn authority(&self) -> String {
        let Some((host, port)) = self.host_port() else { return "localhost".to_owned() };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self.scheme.default_port() == Some(port) {
            true => host,
            false => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Upstream {
    /// The url.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            UpstreamAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            UpstreamAddress::Host { .. } => {
                write!(f, "{}://{}{}", self.scheme.as_str(), self.authority(), self.base_path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_of_the_scheme_is_not_shown() {
        for (scheme, port, authority) in [
            (Scheme::Http, 80, "a"),
            (Scheme::Http, 443, "a:443"),
            (Scheme::H2c, 80, "a"),
            (Scheme::Https, 443, "a"),
            (Scheme::Https, 80, "a:80"),
            (Scheme::Tcp, 80, "a:80"),
            (Scheme::Tls, 443, "a:443"),
        ] {
            let upstream = Upstream { scheme, ..Upstream::http("a", port) };
            assert_eq!(upstream.authority(), authority);
            assert_eq!(upstream.to_string(), format!("{}://{authority}", scheme.as_str()));
        }
    }

    #[test]
    fn sockets_and_ipv6_addresses() {
        assert_eq!(Upstream::http("::1", 81).authority(), "[::1]:81");
        let address = UpstreamAddress::Unix("/run/c.sock".into());
        let socket = Upstream { address, ..Upstream::http("", 0) };
        assert_eq!(socket.authority(), "localhost");
        assert_eq!((socket.to_string().as_str(), socket.host_port()), ("unix:/run/c.sock", None));
    }
}
