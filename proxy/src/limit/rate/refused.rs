//! A request that a limit refused, and what its answer says about that.

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::RateLimit;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A refusal by one limit.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Which limit it was.
    pub id: Arc<str>,
    /// How long there will be no token for this request.
    pub retry_after: Duration,
    pub(super) notice: Notice,
}

impl Refused {
    /// `retry-after`, `ratelimit-policy` and `ratelimit`, the latter two as
    /// draft-ietf-httpapi-ratelimit-headers-11 has them, for the limit that refused.
    pub fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        let seconds = retry_seconds(self.retry_after);
        let left = format!("{};r=0;t={seconds}", self.notice.name);
        [
            (RETRY_AFTER, HeaderValue::from(seconds)),
            (RATE_LIMIT_POLICY, self.notice.policy.clone()),
            // The name is made of what a header may hold.
            (RATE_LIMIT, HeaderValue::try_from(left).unwrap_or(HeaderValue::from_static("r=0"))),
        ]
    }
}

/// For `Retry-After`: rounded up, so that nobody comes too early, and at least 1.
pub(crate) fn retry_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// The parts of headers that a rule's refusals have in common, made once.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// The limit's name in quotes.
    name: Arc<str>,
    policy: HeaderValue,
}

impl Notice {
    pub(super) fn new(rule: &RateLimit) -> Self {
        let name = quoted(&rule.id);
        let policy = format!("{name};q={};w={}", rule.rate.count, rule.rate.per.as_secs().max(1));
        Self {
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("\"?\";q=0")),
            name: name.into(),
        }
    }
}

/// A String of RFC 9651: ASCII in quotes. Anything else is percent-encoded as in paths.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_config::model::Rate;

    fn refused(id: &str, count: u32, per: u64, retry_after: Duration) -> Refused {
        let rule = RateLimit {
            id: id.into(),
            rate: Rate { count, per: Duration::from_secs(per) },
            burst: 1,
            by: None,
            keys: 1,
        };
        Refused { id: rule.id.clone(), retry_after, notice: Notice::new(&rule) }
    }

    fn texts(refused: &Refused) -> [String; 3] {
        refused.headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
    }

    #[test]
    fn headers_are_those_of_the_draft() {
        assert_eq!(
            texts(&refused("payments#1", 100, 1, Duration::from_millis(10))),
            [
                "retry-after: 1",
                "ratelimit-policy: \"payments#1\";q=100;w=1",
                "ratelimit: \"payments#1\";r=0;t=1"
            ]
        );
        assert_eq!(
            texts(&refused("route /api/{id}#2", 5, 3600, Duration::from_secs(720))),
            [
                "retry-after: 720",
                "ratelimit-policy: \"route /api/{id}#2\";q=5;w=3600",
                "ratelimit: \"route /api/{id}#2\";r=0;t=720"
            ]
        );
    }

    #[test]
    fn seconds_are_rounded_up_and_at_least_one() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(retry_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
    }

    #[test]
    fn any_id_makes_a_sound_header() {
        let [_, (_, policy), (_, left)] =
            refused("route ~^/\"é\\d\n$#1", 1, 1, Duration::ZERO).headers();
        assert_eq!(policy, "\"route ~^/\\\"%C3%A9\\\\d%0A$#1\";q=1;w=1");
        assert_eq!(left, "\"route ~^/\\\"%C3%A9\\\\d%0A$#1\";r=0;t=1");
    }
}
