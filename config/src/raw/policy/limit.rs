//! `rate_limit` and `concurrency` as typed.

use crate::decode::{At, FromScalar, Many, NonEmpty, ShortOr, Wrong, record, scalars};
use crate::model::{LimitKey, Rate};
use http::HeaderName;
use serde_json::{Number, Value as Json, json};
use std::time::Duration;

/// A rate, a map, or a list of both.
pub(crate) type RateLimitChoice = NonEmpty<Many<ShortOr<At<Rate>, At<RawRateLimit>>>>;

/// `adaptive`, or a map.
pub(crate) type ConcurrencyChoice = ShortOr<AdaptiveWord, RawConcurrency>;

record! {
    /// How many requests may come in which time.
    RawRateLimit("rate_limit") {
        /// Requests in a second, minute, hour or day: 100/s, 100/m, 100/h, 100/d.
        "rate" required => rate: At<Rate>,
        /// Requests that may come at once, at least 1. Default: the rate's number.
        "burst" => burst: At<u32>,
        /// Whose requests are counted together: client_ip, caller or header:NAME. Default:
        /// everybody's.
        "by" => by: At<LimitKey>,
        /// Different keys that are remembered, beyond them the fullest buckets are forgotten.
        /// Default 100000.
        "keys" => keys: At<u32>,
    }
}

record! {
    /// How many requests may be in flight.
    RawConcurrency("concurrency") {
        /// Requests in flight at once, at least 1.
        "max" => max: At<u32>,
        /// Requests that wait for a place. Default 0.
        "queue" => queue: At<u32>,
        /// How long they wait at most. Default 1s.
        "wait" => wait: At<Duration>,
        /// Finds the limit from how long answers take, instead of `max`.
        "adaptive" => adaptive: At<RawAdaptive>,
    }
}

record! {
    /// A limit that is found from how long answers take.
    RawAdaptive("adaptive") {
        /// Least limit, at least 1. Default 3.
        "min" => min: At<u32>,
        /// Largest limit. Default 1000.
        "max" => max: At<u32>,
        /// How far latency may rise above what it is without load, as a factor above 1. Default 2.
        "tolerance" => tolerance: At<Tolerance>,
    }
}

/// `concurrency: adaptive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdaptiveWord;

impl FromScalar for AdaptiveWord {
    const WHAT: &'static str = "a map, adaptive or none";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == "adaptive" {
            return Ok(Self);
        }
        Err(Wrong::new(format!("expected {}, found {text:?}", Self::WHAT))
            .hint("write { max: 64 }, adaptive or none"))
    }

    fn from_number(_: &Number, text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("expected {}, found the number {text}", Self::WHAT))
            .hint(format!("write {{ max: {text} }}")))
    }

    fn json_schema() -> Json {
        json!({ "const": "adaptive" })
    }
}

/// A factor above 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance(pub(crate) f64);

impl FromScalar for Tolerance {
    const WHAT: &'static str = "a factor above 1";

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        match number.as_f64() {
            Some(factor) if factor > 1.0 && factor <= 100.0 => Ok(Self(factor)),
            _ => Err(Wrong::new(format!("expected {} and up to 100, found {text}", Self::WHAT))
                .hint("2 lets answers take twice as long as without load")),
        }
    }

    fn json_schema() -> Json {
        json!({ "type": "number", "exclusiveMinimum": 1, "maximum": 100 })
    }
}

impl FromScalar for Rate {
    const WHAT: &'static str = "a rate";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("expected a rate, found {text:?}"))
                .hint("write a whole number and one of /s, /m, /h, /d, such as 100/s")
        };
        let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
        let (number, unit) = (number.trim_end(), unit.trim_start());
        let known = Self::UNITS.into_iter().find(|(name, _)| *name == unit);
        let (_, per) = known.ok_or_else(|| match nearest(unit) {
            Some(unit) => Wrong { hint: Some(format!("write {number}/{unit}")), ..wrong() },
            None => wrong(),
        })?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        match number.parse() {
            Ok(0) => Err(Wrong::new(format!("a rate of {text} would refuse every request"))
                .hint("write at least 1, of a longer time if need be, or none for no limit")),
            Ok(count) => Ok(Self { count, per }),
            Err(_) if number.is_empty() => Err(wrong()),
            Err(_) => Err(Wrong::new(format!("the rate {text} is too large"))
                .hint("at most 4294967295 of a second, minute, hour or day")),
        }
    }

    fn from_number(_: &Number, text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("the rate {text} has no unit"))
            .hint(format!("write {text}/s, {text}/m, {text}/h or {text}/d; none for no limit")))
    }

    fn from_bool(value: bool) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("expected {}, found {value}", Self::WHAT))
            .hint("write how many requests in which time, such as 100/s"))
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+ ?/ ?[smhd]$", "examples": ["100/s", "5/m"] })
    }
}

/// The unit that was meant by a longer word.
fn nearest(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "sec" | "second" | "seconds" | "1s" => Some("s"),
        "min" | "minute" | "minutes" | "1m" => Some("m"),
        "hr" | "hour" | "hours" | "1h" => Some("h"),
        "day" | "days" | "1d" => Some("d"),
        _ => None,
    }
}

impl FromScalar for LimitKey {
    const WHAT: &'static str = "client_ip, caller or header:NAME";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::new(format!("expected {}, found {text:?}", Self::WHAT));
        match text {
            "client_ip" => return Ok(Self::ClientIp),
            "caller" => return Ok(Self::Caller),
            _ => {}
        }
        let Some(name) = text.strip_prefix("header:") else {
            return Err(match text {
                "ip" | "client" | "client-ip" | "remote_addr" => wrong().hint("write client_ip"),
                _ => wrong().hint("write header:x-api-key for a header"),
            });
        };
        HeaderName::from_bytes(name.trim().as_bytes()).map(Self::Header).map_err(|_| {
            Wrong::new(format!("{name:?} is not the name of a header"))
                .hint("letters, digits and -, such as header:x-api-key")
        })
    }

    fn json_schema() -> Json {
        json!({
            "anyOf": [
                { "enum": ["client_ip", "caller"] },
                { "type": "string", "pattern": "^header:" },
            ],
        })
    }
}

scalars!(AdaptiveWord, Tolerance, Rate, LimitKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    fn read<T: FromScalar>(text: &str) -> Result<T, Wrong> {
        T::from_scalar(&Scalar::plain(text.to_owned()))
    }

    #[test]
    fn rates_have_a_number_and_a_unit() {
        for (text, count, seconds) in [
            ("100/s", 100, 1),
            ("5/m", 5, 60),
            ("1 / h", 1, 3600),
            ("4294967295/d", u32::MAX, 86400),
        ] {
            let rate = Rate { count, per: Duration::from_secs(seconds) };
            assert_eq!(read(text), Ok(rate), "{text}");
        }
        for text in
            ["0/s", "100", "100/", "/s", "-1/s", "1.5/s", "100/2s", "5000000000/s", "+1/s", "x"]
        {
            assert!(read::<Rate>(text).is_err(), "{text}");
        }
        let hint = |text: &str| read::<Rate>(text).unwrap_err().hint.unwrap();
        assert_eq!(hint("100/sec"), "write 100/s");
        assert!(hint("100").starts_with("write 100/s"), "{}", hint("100"));
        assert!(hint("0/s").contains("none"), "{}", hint("0/s"));
    }

    #[test]
    fn rates_are_shown_as_they_are_written() {
        for text in ["100/s", "5/m", "1/h", "7/d"] {
            assert_eq!(read::<Rate>(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn keys_are_addresses_callers_and_headers() {
        for text in ["client_ip", "caller", "header:x-api-key"] {
            assert_eq!(read::<LimitKey>(text).unwrap().to_string(), text);
        }
        let header = read::<LimitKey>("header:X-Api-Key").unwrap();
        assert_eq!(header, LimitKey::Header(HeaderName::from_static("x-api-key")));
        assert_eq!(read::<LimitKey>("ip").unwrap_err().hint.as_deref(), Some("write client_ip"));
        for text in ["header:", "header:a b", "cookie:a", "5", "true"] {
            assert!(read::<LimitKey>(text).is_err(), "{text}");
        }
    }
}
