//! `host[:port]` taken apart, without allocating.

/// The host and port that a request names. The host is as sent; compare it case-insensitively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Without brackets around IPv6 addresses, without a trailing dot.
    pub host: &'a str,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart; user info is cut off.
    pub fn parse(text: &'a str) -> Self {
        if !text.bytes().any(|byte| matches!(byte, b'@' | b':' | b'[')) {
            return Self { host: text.strip_suffix('.').unwrap_or(text), port: None };
        }
        let text = text.rsplit_once('@').map_or(text, |(_, authority)| authority);
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = port.and_then(|port| port.parse().ok());
        Self { host: host.strip_suffix('.').unwrap_or(host), port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let parse = |text| {
            let Authority { host, port } = Authority::parse(text);
            (host, port)
        };
        assert_eq!(parse("users"), ("users", None));
        assert_eq!(parse("users.:80"), ("users", Some(80)));
        assert_eq!(parse("a@b:81"), ("b", Some(81)));
        assert_eq!(parse("[::1]:82"), ("::1", Some(82)));
        assert_eq!(parse("[::1]"), ("::1", None));
        assert_eq!(parse("::1"), ("::1", None));
        assert_eq!(parse("users:http"), ("users", None));
        assert_eq!(parse(""), ("", None));
    }
}
