//! YAML 1.2 core scalars: what plain text means.
//!
//! `yes`, `on` and `1_000` are text here, unlike in YAML 1.1. `.inf` and `.nan` are text as well,
//! because JSON has no such numbers.

use serde_json::Number;

/// A scalar as written (after unquoting and expansion) and what it means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Written without quotes and not as a block.
    pub(crate) plain: bool,
    /// A variable of the environment was filled in.
    pub(crate) filled: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// Something was wrong with it and has been reported; nobody needs to hear of it twice.
    Reported,
}

impl Scalar {
    pub(crate) fn plain(text: String) -> Self {
        Self { kind: resolve(&text), text, plain: true, filled: false }
    }

    /// Plain text after a variable was filled in.
    pub(crate) fn filled(text: String) -> Self {
        Self { filled: true, ..Self::plain(text) }
    }

    pub(crate) fn quoted(text: String) -> Self {
        Self { text, kind: Kind::Text, plain: false, filled: false }
    }

    pub(crate) fn reported() -> Self {
        Self { kind: Kind::Reported, ..Self::plain(String::new()) }
    }

    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null | Kind::Reported => "nothing".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(_) => format!("the number {}", self.text),
            Kind::Text => {
                let mut shown: String = self.text.chars().take(60).collect();
                if shown.len() < self.text.len() {
                    shown.push('…');
                }
                format!("{shown:?}")
            }
        }
    }
}

fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => number(text).map_or(Kind::Text, Kind::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !unsigned.is_empty() && digits(unsigned) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        let small = whole.parse::<i64>().map(Number::from);
        let large = whole.parse::<u64>().map(Number::from);
        return small.or(large).ok().or_else(|| Number::from_f64(whole.parse().ok()?));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let power = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !power.is_empty() && digits(power)
    });
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    if !(some_digit && digits(whole) && digits(fraction) && exponent_fits) {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}

fn based(digits: &str, base: u32) -> Option<Number> {
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, base).ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match Scalar::plain(text.to_owned()).kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::Text | Kind::Reported => format!("{text:?}"),
        }
    }

    #[test]
    fn the_core_schema_decides() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("true", "true"),
            ("False", "false"),
            ("5", "5"),
            ("+5", "5"),
            ("-5", "-5"),
            ("007", "7"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("-1e3", "-1000.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("100000000000000000000", "1e+20"),
        ] {
            assert_eq!(json(text), meaning, "{text}");
        }
    }

    #[test]
    fn what_older_yaml_took_for_more_is_text() {
        for text in [
            "yes", "no", "on", "off", "tRue", "1_000", "1:30", "0b1", "0x", "0x+1", "0o9", ".inf",
            ".nan", ".", "e5", "1e", "1e+", "-", "+", "1.2.3", "1.x", "0.0.0.0", "nan", "inf",
            "1e999",
        ] {
            assert_eq!(json(text), format!("{text:?}"));
        }
    }

    #[test]
    fn long_text_is_shown_in_part() {
        let shown = Scalar::quoted("ä".repeat(100)).describe();
        assert!(shown.ends_with("ä…\"") && shown.chars().count() < 70, "{shown}");
    }
}
