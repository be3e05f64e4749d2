//! `cors` as typed.

use crate::decode::{At, FromScalar, Many, NonEmpty, Verb, Wrong, record, scalars};
use crate::yaml::{Kind, Scalar};
use serde_json::{Value as Json, json};
use std::net::Ipv6Addr;
use std::time::Duration;

record! {
    /// What other origins may ask a browser to do here.
    RawCors("cors") {
        /// Whose scripts may call: `"*"`, or origins such as http://localhost:3000,
        /// https://*.example.com and http://localhost:*.
        "origins" required => origins: At<NonEmpty<Many<At<Origin>>>>,
        /// Methods that they may use. Default: whichever is asked for.
        "methods" => methods: NonEmpty<Many<Verb>>,
        /// Headers that requests may have. Default: whichever are asked for.
        "headers" => headers: NonEmpty<Many<At<String>>>,
        /// Headers of answers that scripts may read. Default: grpc-status, grpc-message and
        /// x-request-id.
        "expose" => expose: Many<At<String>>,
        /// Whether cookies and authorization may travel along. Default false.
        "credentials" => credentials: At<bool>,
        /// How long a browser may remember the answer to a preflight. Default 10m.
        "max_age" => max_age: Duration,
    }
}

/// An origin or a pattern of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Any,
    /// In lower case, without the scheme's own port.
    Only(String),
}

impl FromScalar for Origin {
    const WHAT: &'static str = "an origin";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match &scalar.kind {
            Kind::Text => Self::from_text(&String::from_scalar(scalar)?),
            Kind::Null => Err(Wrong::new("expected an origin, found nothing")
                .hint("write \"null\" in quotes for pages that have no origin")),
            _ => Err(Wrong::new(format!("expected an origin, found {}", scalar.describe()))
                .hint("write one such as http://localhost:3000")),
        }
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        if lower == "null" {
            return Ok(Self::Only(lower));
        }
        let Some((scheme, rest)) = lower.split_once("://") else {
            return Err(Wrong::new(format!("the origin {text:?} has no scheme"))
                .hint(format!("write http://{lower} or https://{lower}")));
        };
        if let Some(end) = rest.find(['/', '?', '#']) {
            return Err(Wrong::new(format!("the origin {text:?} does not end after its port"))
                .hint(format!(
                    "an origin has no path, not even a slash: write {scheme}://{}",
                    &rest[..end]
                )));
        }
        let wrong = |why: &str, hint: &str| {
            Err(Wrong::new(format!("{text:?} is not an origin: {why}")).hint(hint))
        };
        if !is_scheme(scheme) {
            return wrong("its scheme is none", "write http:// or https:// before the host");
        }
        let Some((host, port)) = split(rest) else {
            return wrong("the port is no number", "write a port up to 65535, or * for any");
        };
        if host.contains('@') {
            return wrong("it holds a user", "write the scheme, host and port alone");
        }
        if host == "*" {
            return wrong("it stands for every host", "write \"*\" alone for any origin");
        }
        if !is_host(host) {
            return wrong(
                "its host is no name or address",
                "write a name or an address; foreign letters as xn--…, and *. only at the start",
            );
        }
        let port = match (scheme, port) {
            ("http", Some("80")) | ("https", Some("443")) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        Ok(Self::Only(format!("{scheme}://{host}{port}")))
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "examples": ["*", "http://localhost:3000"] })
    }
}
scalars!(Origin);

fn is_scheme(scheme: &str) -> bool {
    let mut chars = scheme.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// Host and port; `None` for a port that is none.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    let after = rest.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = rest[after..].find(':') else { return Some((rest, None)) };
    let (host, port) = (&rest[..after + colon], &rest[after + colon + 1..]);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && !port.starts_with('0')
        && port.parse::<u16>().is_ok();
    (port == "*" || is_port).then_some((host, Some(port)))
}

/// `*.` stands only at the start.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    let labels = host.strip_prefix("*.").unwrap_or(host);
    labels.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Origin, Wrong> {
        Origin::from_scalar(&Scalar::plain(text.to_owned()))
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        for (text, origin) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("HTTPS://App.Example.com", "https://app.example.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("https://*.example.com", "https://*.example.com"),
            ("http://localhost:*", "http://localhost:*"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(read(text), Ok(Origin::Only(origin.to_owned())), "{text}");
        }
        assert_eq!(Origin::from_text("*"), Ok(Origin::Any));
        assert_eq!(Origin::from_text("null"), Ok(Origin::Only("null".to_owned())));
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for text in [
            "localhost:3000",
            "http://localhost:3000/",
            "http://localhost/app",
            "http://localhost?x",
            "http://a@localhost",
            "http://localhost:0",
            "http://localhost:65536",
            "http://localhost:",
            "http://*",
            "https://*",
            "http://a.*.example.com",
            "http://*example.com",
            "http://a..b",
            "http://[::1",
            "http://grüße.example",
            "://a",
            "http://",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let slash = read("http://localhost:3000/").unwrap_err().hint.unwrap();
        assert!(slash.ends_with("write http://localhost:3000"), "{slash}");
        let nothing = read("~").unwrap_err().hint.unwrap();
        assert!(nothing.contains("\"null\" in quotes"), "{nothing}");
    }
}
