//! `mirror` as typed.

use crate::decode::{At, FromScalar, Share, ShortOr, Size, Word, Wrong, record, scalars};
use serde_json::{Number, Value as Json, json};

/// A service, or a map that names one.
pub(crate) type MirrorChoice = ShortOr<At<Word>, RawMirror>;

record! {
    /// A copy of requests for another service.
    RawMirror("mirror") {
        /// The service that gets the copies; its answers are thrown away.
        "to" required => to: At<Word>,
        /// How many of the requests are copied: 30, or 30%. Default 100%.
        "percent" => percent: At<Percent>,
        /// Copies in flight at once; more are not made. Default 64.
        "max" => max: At<u32>,
        /// Largest body that is copied; requests with larger ones are not mirrored. Default 64KiB.
        "max_body" => max_body: At<Size>,
    }
}

/// A share whose bare numbers are per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

impl FromScalar for Percent {
    const WHAT: &'static str = "a percentage";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let share = text.ends_with('%').then(|| Share::from_text(text).ok()).flatten();
        share.map(|share| Self(share.0)).ok_or_else(|| {
            Wrong::new(format!("expected {} up to 100, found {text:?}", Self::WHAT))
                .hint("write 30 or 30%")
        })
    }

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        let percent = number.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        percent.map(|percent| Self(percent / 100.0)).ok_or_else(|| {
            Wrong::new(format!("expected {} up to 100, found the number {text}", Self::WHAT))
                .hint("write 30 or 30%")
        })
    }

    fn json_schema() -> Json {
        json!({
            "anyOf": [
                { "type": "number", "exclusiveMinimum": 0, "maximum": 100 },
                { "type": "string", "pattern": "^[0-9.]+ ?%$" },
            ],
            "examples": [30, "30%"],
        })
    }
}
scalars!(Percent);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    #[test]
    fn bare_numbers_are_per_cent() {
        let read = |text: &str| Percent::from_scalar(&Scalar::plain(text.to_owned()));
        for (text, share) in [("30", 0.3), ("30%", 0.3), ("0.5", 0.005), ("100", 1.0), ("1", 0.01)]
        {
            assert_eq!(read(text), Ok(Percent(share)), "{text}");
        }
        for text in ["101", "-1", "101%", "half", "true", "%"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
