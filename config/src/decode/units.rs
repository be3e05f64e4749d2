//! Values with units: durations, ranges, sizes, shares.
//!
//! A unit is never guessed: a bare number is refused where a unit belongs, except `0`.

use super::scalar::{FromScalar, scalars};
use super::wrong::Wrong;
use crate::model::DelayRange;
use serde_json::{Number, Value as Json, json};
use std::time::Duration;

/// Longer than any timer needs, and far below where adding it to a clock could overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A size, or `none` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeOrNone(pub(crate) Option<u64>);

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

/// `12.5ms` to 12.5 and `ms`. Signs and exponents are not part of a number with a unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

impl FromScalar for Duration {
    const WHAT: &'static str = "a duration";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("expected a duration, found {text:?}"))
                .hint("write a number and one of ms, s, m, h, such as 250ms or 1.5s")
        };
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let seconds = match unit {
            "ms" => number / 1000.0,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            "" => return Self::from_number(&Number::from(1), text),
            _ => return Err(wrong()),
        };
        match Self::try_from_secs_f64(seconds) {
            Ok(duration) if duration <= LONGEST => Ok(duration),
            _ => {
                Err(Wrong::new(format!("{text} is longer than a year"))
                    .hint("write less than 8784h"))
            }
        }
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        if number.as_f64() == Some(0.0) {
            return Ok(Self::ZERO);
        }
        Err(Wrong::new(format!("the duration {text} has no unit"))
            .hint(format!("write {text}s for seconds or {text}ms for milliseconds")))
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9.]+(ms|s|m|h)$", "examples": ["250ms", "30s"] })
    }
}

impl FromScalar for DelayRange {
    const WHAT: &'static str = "a duration or a range of two";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let Some((min, max)) = text.split_once("..") else {
            let fixed = Duration::from_text(text)?;
            return Ok(Self { min: fixed, max: fixed });
        };
        let (min, max) = (Duration::from_text(min.trim())?, Duration::from_text(max.trim())?);
        if min > max {
            return Err(Wrong::new(format!("the range {text} runs backwards"))
                .hint("write the shorter time first"));
        }
        Ok(Self { min, max })
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        Duration::from_number(number, text).map(|fixed| Self { min: fixed, max: fixed })
    }

    fn json_schema() -> Json {
        let time = "[0-9.]+(ms|s|m|h)";
        json!({
            "anyOf": [
                { "type": "string", "pattern": format!("^{time}(\\.\\.{time})?$") },
                { "const": 0 },
            ],
            "examples": ["20ms", "20ms..80ms"],
        })
    }
}

impl FromScalar for Size {
    const WHAT: &'static str = "a size";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("expected a size, found {text:?}")).hint(
                "write bytes, or a number and one of KiB, MiB, GiB, KB, MB, GB, such as 64KiB",
            )
        };
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor = match unit {
            "" | "B" => 1.0,
            "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(wrong()),
        };
        whole(number * factor).map(Self).ok_or_else(wrong)
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        number.as_u64().map(Self).ok_or_else(|| {
            Wrong::new(format!("expected a size, found the number {text}"))
                .hint("write whole bytes, or a unit such as 64KiB")
        })
    }

    fn json_schema() -> Json {
        json!({
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9.]+ ?(B|KiB|MiB|GiB|KB|MB|GB)$" },
            ],
            "examples": ["64KiB"],
        })
    }
}

/// A number of bytes; past 2^53 a float no longer counts single ones.
fn whole(bytes: f64) -> Option<u64> {
    format!("{:.0}", bytes.round()).parse().ok().filter(|whole| *whole < 1 << 53)
}

impl FromScalar for SizeOrNone {
    const WHAT: &'static str = "a size or none";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text {
            "none" => Ok(Self(None)),
            _ => Size::from_text(text).map(|size| Self(Some(size.0))),
        }
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        Size::from_number(number, text).map(|size| Self(Some(size.0)))
    }

    fn json_schema() -> Json {
        json!({ "anyOf": [{ "const": "none" }, Size::json_schema()] })
    }
}

impl FromScalar for Share {
    const WHAT: &'static str = "a share";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("expected a share, found {text:?}"))
                .hint("write 5%, or a fraction from 0 to 1 such as 0.05")
        };
        let percent = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (number, rest) = split(percent).ok_or_else(wrong)?;
        match rest.is_empty() {
            true if (0.0..=100.0).contains(&number) => Ok(Self(number / 100.0)),
            true if number > 100.0 => {
                Err(Wrong::new(format!("the share {text} is more than 100%")))
            }
            _ => Err(wrong()),
        }
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        match number.as_f64() {
            Some(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            Some(share) if share > 1.0 && share <= 100.0 => {
                Err(Wrong::new(format!("the share {text} is more than 1"))
                    .hint(format!("write {text}%, or a fraction from 0 to 1")))
            }
            _ => Err(Wrong::new(format!("expected a share, found the number {text}"))
                .hint("write 5%, or a fraction from 0 to 1 such as 0.05")),
        }
    }

    fn json_schema() -> Json {
        json!({
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 },
                { "type": "string", "pattern": "^[0-9.]+ ?%$" },
            ],
            "examples": ["5%"],
        })
    }
}

scalars!(Duration, DelayRange, Size, SizeOrNone, Share);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    fn read<T: FromScalar>(text: &str) -> Result<T, Wrong> {
        T::from_scalar(&Scalar::plain(text.to_owned()))
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("250ms", 250),
            ("2s", 2000),
            ("1.5s", 1500),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("0", 0),
        ] {
            assert_eq!(read::<Duration>(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let bare = read::<Duration>("30").unwrap_err();
        assert!(bare.hint.unwrap().contains("write 30s"), "{}", bare.message);
        for text in
            ["1d", "-1s", "s", "1.2.3s", "1e3s", "99999h", "9999999999999999999999h", "true"]
        {
            assert!(read::<Duration>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_run_forwards() {
        let range = read::<DelayRange>("20ms..80ms").unwrap();
        assert_eq!((range.min, range.max), (Duration::from_millis(20), Duration::from_millis(80)));
        let fixed = read::<DelayRange>("1s").unwrap();
        assert_eq!(fixed.min, fixed.max);
        assert_eq!(read::<DelayRange>("0").unwrap().max, Duration::ZERO);
        for text in ["80ms..20ms", "1s..", "..1s", "1..2"] {
            assert!(read::<DelayRange>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_kilo() {
        for (text, bytes) in [
            ("100", 100),
            ("64KiB", 65_536),
            ("64KB", 64_000),
            ("1.5MiB", 1_572_864),
            ("2 GB", 2_000_000_000),
        ] {
            assert_eq!(read::<Size>(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["64K", "-1", "1.5", "99999999999GiB", "KiB", "none"] {
            assert!(read::<Size>(text).is_err(), "{text}");
        }
        assert_eq!(read::<SizeOrNone>("none"), Ok(SizeOrNone(None)));
        assert_eq!(read::<SizeOrNone>("5"), Ok(SizeOrNone(Some(5))));
        assert_eq!(read::<SizeOrNone>("1KB"), Ok(SizeOrNone(Some(1000))));
    }

    #[test]
    fn a_share_is_a_percentage_or_a_fraction() {
        for (text, share) in [("5%", 0.05), ("0.05", 0.05), ("100 %", 1.0), ("0", 0.0), ("1", 1.0)]
        {
            assert_eq!(read::<Share>(text), Ok(Share(share)), "{text}");
        }
        assert_eq!(read::<Share>("150%").unwrap_err().message, "the share 150% is more than 100%");
        assert!(read::<Share>("5").unwrap_err().hint.unwrap().contains("write 5%"));
        for text in ["101%", "-1%", "-0.1", "half", "%", "5%%", "500"] {
            assert!(read::<Share>(text).is_err(), "{text}");
        }
    }
}
