//! Our mark in `Via`.

use crate::upstream::ReadyHeader;
use http::Version;
use http::header::{HeaderMap, HeaderValue, VIA};

/// Our mark in `Via`: tells a request that came back from one that only passed another `stitch`.
#[derive(Clone, Debug)]
pub struct ViaToken {
    pseudonym: String,
    h1: ReadyHeader,
    /// For what came over HTTP/2.
    h2: ReadyHeader,
}

impl ViaToken {
    /// A mark for this process.
    pub fn new(id: u64) -> Self {
        let pseudonym = format!("stitch-{id:012x}");
        let header = |version| {
            let value = HeaderValue::try_from(format!("{version} {pseudonym}"));
            let value = value.unwrap_or_else(|_| HeaderValue::from_static("1.1 stitch"));
            ReadyHeader::new(VIA, value)
        };
        Self { h1: header("1.1"), h2: header("2.0"), pseudonym }
    }

    /// The mark for a message that came in this version (RFC 9110 §7.6.3).
    pub(super) fn of(&self, version: Version) -> &ReadyHeader {
        if version == Version::HTTP_2 { &self.h2 } else { &self.h1 }
    }

    /// How often the request has been here before.
    pub fn times_in(&self, headers: &HeaderMap) -> usize {
        let lines = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
        let hops = lines.flat_map(|line| line.split(','));
        hops.filter(|hop| hop.split_whitespace().nth(1) == Some(&self.pseudonym)).count()
    }

    /// Adds the mark behind what earlier proxies wrote.
    pub fn add(&self, headers: &mut HeaderMap) {
        headers.append(VIA, self.h1.value().clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hygiene::testing::headers;

    #[test]
    fn a_loop_is_known_by_our_own_mark_only() {
        let (ours, theirs) = (ViaToken::new(1), ViaToken::new(2));
        let mut map = headers(&[("via", "1.0 fred, 1.1 other")]);
        theirs.add(&mut map);
        assert_eq!(ours.times_in(&map), 0);
        ours.add(&mut map);
        assert_eq!((ours.times_in(&map), theirs.times_in(&map)), (1, 1));
        assert_eq!(map.get_all(VIA).iter().count(), 3);
    }
}
