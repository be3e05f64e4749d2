//! Which origins a list of patterns stands for. Compared whole, without case, and by labels: what only
//! begins or ends like a pattern is another site.

use stitch_config::model::Origins;

/// Origins whose scripts may call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Any,
    These(Vec<Pattern>),
}

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// As browsers write it.
    Exactly(String),
    /// Has a `*`.
    Wild { scheme: String, host: Host, port: Port },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host {
    Exactly(String),
    /// One or more labels, and then this, which begins with a dot.
    Below(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// None is the scheme's own.
    Exactly(Option<String>),
    Any,
}

impl Allowed {
    pub fn compile(origins: &Origins) -> Self {
        match origins {
            Origins::Any => Self::Any,
            Origins::Only(list) => Self::These(list.iter().map(|text| Pattern::of(text)).collect()),
        }
    }

    /// Whether an `Origin` header with this value is among them.
    pub fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

impl Pattern {
    fn of(text: &str) -> Self {
        let parts = split(text).filter(|_| text.contains('*'));
        let Some((scheme, host, port)) = parts else { return Self::Exactly(text.to_owned()) };
        Self::Wild {
            scheme: scheme.to_owned(),
            host: match host.strip_prefix('*') {
                Some(suffix) => Host::Below(suffix.to_owned()),
                None => Host::Exactly(host.to_owned()),
            },
            port: match port {
                Some("*") => Port::Any,
                port => Port::Exactly(port.map(str::to_owned)),
            },
        }
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exactly(text) => text.eq_ignore_ascii_case(origin),
            Self::Wild { scheme, host, port } => {
                split(origin).is_some_and(|(its_scheme, its_host, its_port)| {
                    scheme.eq_ignore_ascii_case(its_scheme)
                        && host.matches(its_host)
                        && port.matches(its_port)
                })
            }
        }
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exactly(text) => text.eq_ignore_ascii_case(host),
            Self::Below(suffix) => {
                let Some(length) = host.len().checked_sub(suffix.len()) else { return false };
                let Some((labels, rest)) = host.split_at_checked(length) else { return false };
                rest.eq_ignore_ascii_case(suffix) && labels.split('.').all(is_label)
            }
        }
    }
}

impl Port {
    fn matches(&self, port: Option<&str>) -> bool {
        match self {
            Self::Any => port.is_none_or(|port| port.parse::<u16>().is_ok()),
            Self::Exactly(text) => text.as_deref() == port,
        }
    }
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.bytes().all(inner)
}

/// Scheme, host and port; of an address of IPv6 the brackets stay.
fn split(origin: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let after = rest.rfind(']').map_or(0, |end| end + 1);
    Some(match rest[after..].find(':') {
        Some(colon) => (scheme, &rest[..after + colon], Some(&rest[after + colon + 1..])),
        None => (scheme, rest, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        Allowed::compile(&Origins::Only(vec![pattern.to_owned()])).contains(origin)
    }

    #[test]
    fn an_origin_is_compared_whole_and_without_case() {
        assert!(allows("http://localhost:3000", "http://localhost:3000"));
        assert!(allows("https://app.example.com", "https://APP.example.com"));
        for other in [
            "http://localhost:30000",
            "http://localhost",
            "https://localhost:3000",
            "http://localhost:3000.evil.example",
            "http://evil.example/http://localhost:3000",
            "http://localhost:3000 ",
            "null",
            "",
        ] {
            assert!(!allows("http://localhost:3000", other), "{other}");
        }
    }

    #[test]
    fn a_star_stands_for_labels_and_never_for_a_part_of_one() {
        for origin in ["https://a.example.com", "https://a.b.example.com", "HTTPS://A.Example.Com"]
        {
            assert!(allows("https://*.example.com", origin), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://evil-example.com",
            "https://evilexample.com",
            "https://a.example.com.evil.net",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://evil.net/.example.com",
            "https://evil.net#.example.com",
            "https://evil.net?a.example.com",
            "https://evil.net\\.example.com",
            "https://me@evil.net:1@a.example.com",
            "https://me@a.example.com",
            "https://[::1].example.com",
            "https://ü.example.com",
            "null",
            "*",
        ] {
            assert!(!allows("https://*.example.com", origin), "{origin}");
        }
    }

    #[test]
    fn any_port_is_a_number_or_none() {
        for origin in ["http://localhost:3000", "http://localhost", "http://localhost:1"] {
            assert!(allows("http://localhost:*", origin), "{origin}");
        }
        for origin in [
            "http://localhost:",
            "http://localhost:x",
            "http://localhost:99999",
            "http://localhost:80@evil.net",
            "http://localhost.evil.net:80",
            "https://localhost:3000",
        ] {
            assert!(!allows("http://localhost:*", origin), "{origin}");
        }
        assert!(allows("http://[::1]:*", "http://[::1]:3000"));
        assert!(!allows("http://[::1]:*", "http://[::2]:3000"));
        assert!(allows("https://*.example.com:*", "https://a.example.com:8443"));
        assert!(allows("https://*.example.com:8443", "https://a.example.com:8443"));
        assert!(!allows("https://*.example.com:8443", "https://a.example.com"));
    }

    #[test]
    fn the_origin_of_nobody_is_allowed_only_where_it_is_listed() {
        assert!(allows("null", "null"));
        assert!(!allows("http://localhost:*", "null"));
        assert!(Allowed::compile(&Origins::Any).contains("null"));
    }
}
