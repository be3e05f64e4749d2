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
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, "")) => (host, None),
            Some((host, after)) if after.starts_with(':') => (host, Some(&after[1..])),
            // What has more behind its brackets is no address.
            _ => match text.rsplit_once(':') {
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
    use proptest::prelude::*;

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
        assert_eq!(parse("[::1]x"), ("[::1]x", None));
        assert_eq!(parse(""), ("", None));
    }

    fn parsed(text: &str) -> (String, Option<u16>) {
        let Authority { host, port } = Authority::parse(text);
        (host.to_owned(), port)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

        #[test]
        fn names_and_ports_are_recovered(
            user in "([a-z:@]{0,5}@)?",
            host in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}[A-Za-z0-9_-]",
            port: u16,
        ) {
            let with_port = (host.clone(), Some(port));
            prop_assert_eq!(parsed(&format!("{user}{host}:{port}")), with_port.clone());
            prop_assert_eq!(parsed(&format!("{user}{host}.:{port}")), with_port);
            prop_assert_eq!(parsed(&format!("{user}{host}")), (host, None));
        }

        #[test]
        fn addresses_and_ports_are_recovered(
            v6: std::net::Ipv6Addr,
            v4: std::net::Ipv4Addr,
            port: u16,
        ) {
            let (v6, v4) = (v6.to_string(), v4.to_string());
            prop_assert_eq!(parsed(&format!("[{v6}]:{port}")), (v6.clone(), Some(port)));
            prop_assert_eq!(parsed(&format!("[{v6}]")), (v6.clone(), None));
            prop_assert_eq!(parsed(&v6), (v6, None));
            prop_assert_eq!(parsed(&format!("{v4}:{port}")), (v4, Some(port)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", close in r"[\[\]:@.a1]{0,12}") {
            for text in [text, close] {
                prop_assert!(text.contains(&parsed(&text).0));
            }
        }
    }
}
