//! Words of HTTP: methods, status codes, header names, path patterns.

use super::scalar::{FromScalar, scalars};
use super::wrong::Wrong;
use crate::near;
use crate::pattern::PathPattern;
use ::http::Method;
use serde_json::{Number, Value as Json, json};

/// The methods that an endpoint or a route may name; CONNECT opens tunnels and is never routed.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];

/// A method, or `ANY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Any,
    Only(Method),
}

impl FromScalar for Verb {
    const WHAT: &'static str = "an HTTP method";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == "ANY" {
            return Ok(Self::Any);
        }
        let known = METHODS.contains(&text).then(|| Method::from_bytes(text.as_bytes()).ok());
        known.flatten().map(Self::Only).ok_or_else(|| {
            let names = METHODS.into_iter().chain(["ANY"]);
            Wrong::new(format!("unknown method {text:?}"))
                .hint(near::suggest("methods", text, names))
        })
    }

    fn json_schema() -> Json {
        let names: Vec<_> = METHODS.into_iter().chain(["ANY"]).collect();
        json!({ "enum": names })
    }
}

/// A status that an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl FromScalar for Status {
    const WHAT: &'static str = "a status from 200 to 599";

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        let status = number.as_u64().and_then(|number| u16::try_from(number).ok());
        status
            .filter(|status| (200..600).contains(status))
            .map(Self)
            .ok_or_else(|| Wrong::new(format!("expected {}, found the number {text}", Self::WHAT)))
    }

    fn json_schema() -> Json {
        json!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

/// A status that sends the client elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RedirectStatus(pub(crate) u16);

impl FromScalar for RedirectStatus {
    const WHAT: &'static str = "301, 302, 303, 307 or 308";

    fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
        let status = number.as_u64().and_then(|number| u16::try_from(number).ok());
        status.filter(|status| matches!(status, 301..=303 | 307 | 308)).map(Self).ok_or_else(|| {
            Wrong::new(format!("{text} is not the status of a redirect"))
                .hint("write 301 or 308 for good, 302, 303 or 307 for now")
        })
    }

    fn json_schema() -> Json {
        json!({ "enum": [301, 302, 303, 307, 308] })
    }
}

impl FromScalar for PathPattern {
    const WHAT: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if let Some((path, _)) = text.split_once(['?', '#']).filter(|_| !text.starts_with('~')) {
            return Err(Wrong::new(format!("the path {text:?} holds a query or fragment"))
                .hint(format!("a path pattern sees the path only: write {path:?}")));
        }
        Ok(Self::parse(text)?)
    }
}

scalars!(Verb, Status, RedirectStatus, PathPattern);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    fn read<T: FromScalar>(text: &str) -> Result<T, Wrong> {
        T::from_scalar(&Scalar::plain(text.to_owned()))
    }

    #[test]
    fn methods_are_upper_case_and_known() {
        assert_eq!(read::<Verb>("POST"), Ok(Verb::Only(Method::POST)));
        assert_eq!(read::<Verb>("ANY"), Ok(Verb::Any));
        for (text, near) in [("post", "POST"), ("PSOT", "POST"), ("any", "ANY")] {
            let hint = read::<Verb>(text).unwrap_err().hint.unwrap();
            assert_eq!(hint, format!("did you mean {near:?}?"));
        }
        assert!(read::<Verb>("CONNECT").is_err() && read::<Verb>("5").is_err());
    }

    #[test]
    fn statuses_are_final_ones() {
        assert_eq!(read::<Status>("204"), Ok(Status(204)));
        for text in ["100", "600", "2.5", "-200", "ok", "99999999"] {
            assert!(read::<Status>(text).is_err(), "{text}");
        }
        assert_eq!(read::<RedirectStatus>("308"), Ok(RedirectStatus(308)));
        assert!(read::<RedirectStatus>("304").is_err());
    }

    #[test]
    fn a_path_has_no_query() {
        assert!(read::<PathPattern>("/a?b=1").unwrap_err().hint.unwrap().contains("\"/a\""));
        assert!(read::<PathPattern>("~^/a(b)?$").is_ok());
    }
}
