//! Values of arguments: parsed once, wrong ones named.

use crate::proxy_env::parse_authority;
use clap::ValueEnum;
use http::{HeaderName, HeaderValue};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How to tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Whose syntax to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Sh,
    Fish,
    Powershell,
}

/// Where a part of stitch is reached over plain HTTP: `http://host:port` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    authority: String,
}

impl Endpoint {
    /// `host:port`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        match parse_authority(authority) {
            Some(_) => Ok(Self { authority: authority.to_owned() }),
            None => Err(format!("\"{text}\" is no address such as http://127.0.0.1:9900")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// `500ms`, `30s`, `2m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("\"{text}\" is no time such as 500ms, 30s or 2m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or_else(bad);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        _ => Err(bad()),
    }
}

/// A service's name travels as proxy user, so nothing may need escaping.
pub(super) fn service_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is no service name: letters, digits, '-', '_' and '.'")),
    }
}

/// `name: value`.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let bad = || format!("\"{text}\" is no header such as \"x-tenant: acme\"");
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let name = name.trim().parse().map_err(|_| bad())?;
    let value = value.trim().parse().map_err(|_| bad())?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for bad in
            ["", "30", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "9999999999999999999h"]
        {
            assert!(duration(bad).unwrap_err().contains(&format!("\"{bad}\"")));
        }
    }

    #[test]
    fn endpoints_are_plain_http() {
        let parse = |text: &str| text.parse::<Endpoint>();
        assert_eq!(parse("http://localhost:9900/").unwrap().authority(), "localhost:9900");
        assert_eq!(parse("[::1]:9900").unwrap().to_string(), "http://[::1]:9900");
        for bad in ["https://h:1", "h", "http://h:1/x", "9900"] {
            assert!(parse(bad).unwrap_err().contains(&format!("\"{bad}\"")));
        }
    }

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let (name, value) = header("X-When: 10:30").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-when", "10:30"));
        assert!(header("no colon").is_err());
        assert!(header("b ad: x").is_err());
        assert!(header("a: \u{1}").is_err());
    }

    #[test]
    fn names_need_no_escaping() {
        assert!(service_name("web-1").is_ok());
        for bad in ["", "a b", "a@b", "a:b"] {
            assert!(service_name(bad).is_err(), "{bad}");
        }
    }
}
