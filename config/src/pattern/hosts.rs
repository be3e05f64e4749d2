//! Values by host: exact names first, then the longest matching `*.suffix`.

use super::authority::Authority;
use crate::model::HostPattern;
use hashbrown::HashMap;

/// Longest host name that is looked up (RFC 1035 §2.3.4).
const MAX_HOST: usize = 255;

/// Values by [`HostPattern`]. An entry with a port wins over one without.
#[derive(Clone, Debug)]
pub struct HostTable<T> {
    exact: HashMap<String, Vec<(Option<u16>, T)>>,
    suffix: HashMap<String, Vec<(Option<u16>, T)>>,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), suffix: HashMap::new() }
    }
}

impl<T> HostTable<T> {
    /// Adds a value; among equal patterns the first stays.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) {
        let (map, key) = match pattern.host.strip_prefix("*.") {
            Some(suffix) => (&mut self.suffix, suffix),
            None => (&mut self.exact, pattern.host.as_str()),
        };
        let entries = map.entry(key.to_owned()).or_default();
        if !entries.iter().any(|(port, _)| *port == pattern.port) {
            entries.push((pattern.port, value));
            entries.sort_by_key(|(port, _)| port.is_none());
        }
    }

    /// The value to which this pattern itself leads, to be changed.
    pub fn entry(&mut self, pattern: &HostPattern) -> Option<&mut T> {
        let (map, key) = match pattern.host.strip_prefix("*.") {
            Some(suffix) => (&mut self.suffix, suffix),
            None => (&mut self.exact, pattern.host.as_str()),
        };
        let entries = map.get_mut(key)?;
        entries.iter_mut().find(|(port, _)| *port == pattern.port).map(|(_, value)| value)
    }

    /// The value for a host.
    pub fn get(&self, authority: Authority<'_>) -> Option<&T> {
        self.find_map(authority, Some)
    }

    /// What `pick` makes of the most specific value for a host from which it makes anything.
    pub fn find_map<'t, R>(
        &'t self,
        authority: Authority<'_>,
        mut pick: impl FnMut(&'t T) -> Option<R>,
    ) -> Option<R> {
        if self.exact.is_empty() && self.suffix.is_empty() || authority.host.len() > MAX_HOST {
            return None;
        }
        let mut buffer = [0_u8; MAX_HOST];
        let host = lower(authority.host, &mut buffer);
        let found = values(self.exact.get(host), authority.port).find_map(&mut pick);
        if found.is_some() {
            return found;
        }
        let mut rest = host;
        while let Some((label, suffix)) = rest.split_once('.') {
            if label.is_empty() {
                return None;
            }
            let found = values(self.suffix.get(suffix), authority.port).find_map(&mut pick);
            if found.is_some() {
                return found;
            }
            rest = suffix;
        }
        None
    }
}

/// Those that a port leads to, entries with a port first.
fn values<T>(
    entries: Option<&Vec<(Option<u16>, T)>>,
    port: Option<u16>,
) -> impl Iterator<Item = &T> {
    // Without a port the scheme's default is meant, which for us is 80.
    let asked = port.unwrap_or(80);
    let entries = entries.into_iter().flatten();
    entries.filter(move |(port, _)| port.is_none_or(|port| port == asked)).map(|(_, value)| value)
}

/// The host in lower case; borrowed when it is so already.
fn lower<'a>(host: &'a str, buffer: &'a mut [u8; MAX_HOST]) -> &'a str {
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host;
    }
    let bytes = &mut buffer[..host.len()];
    bytes.copy_from_slice(host.as_bytes());
    bytes.make_ascii_lowercase();
    std::str::from_utf8(bytes).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        let Authority { host, port } = Authority::parse(text);
        HostPattern { host: host.to_owned(), port }
    }

    #[test]
    fn exact_beats_the_longest_suffix() {
        let mut table = HostTable::default();
        for text in ["users", "users:9000", "*.example.com", "*.eu.example.com", "a.example.com"] {
            table.insert(&pattern(text), text);
        }
        let get = |text| table.get(Authority::parse(text)).copied();
        assert_eq!(get("users"), Some("users"));
        assert_eq!(get("USERS:8080"), Some("users"));
        assert_eq!(get("users:9000"), Some("users:9000"));
        assert_eq!(get("a.example.com"), Some("a.example.com"));
        assert_eq!(get("b.example.com"), Some("*.example.com"));
        assert_eq!(get("x.y.eu.Example.com"), Some("*.eu.example.com"));
        assert_eq!(get("example.com"), None);
        assert_eq!(get(".example.com"), None);
        assert_eq!(get(&"a".repeat(300)), None);
    }

    #[test]
    fn a_missing_port_means_80() {
        let mut table = HostTable::default();
        table.insert(&pattern("api:80"), 1);
        assert_eq!(table.get(Authority::parse("api")), Some(&1));
        assert_eq!(table.get(Authority::parse("api:81")), None);
    }

    #[test]
    fn the_first_of_equal_patterns_stays() {
        let mut table = HostTable::default();
        table.insert(&pattern("a"), 1);
        table.insert(&pattern("a"), 2);
        assert_eq!(table.get(Authority::parse("a")), Some(&1));
        *table.entry(&pattern("a")).unwrap() = 3;
        assert_eq!(table.get(Authority::parse("a")), Some(&3));
        assert!(table.entry(&pattern("*.a")).is_none());
    }
}
