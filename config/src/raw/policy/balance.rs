//! `balance:` as typed: a word, or a word and what it is about.

use crate::decode::{FromScalar, Wrong, scalars};
use crate::model::{Balance, HashKey};
use crate::near::{nearest, suggest};
use http::HeaderName;
use serde_json::{Value as Json, json};

const WORDS: [&str; 6] = ["least_request", "round_robin", "ewma", "random", "hash", "sticky"];
const KEYS: [&str; 4] = ["header", "cookie", "client_ip", "path"];

impl FromScalar for Balance {
    const WHAT: &'static str =
        "least_request, round_robin, ewma, random, hash:KEY or sticky:COOKIE";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let (word, about) = match text.split_once(':') {
            Some((word, about)) => (word, Some(about)),
            None => (text, None),
        };
        let plain = |balance| match about {
            None => Ok(balance),
            Some(_) => Err(Wrong::new(format!("{word} takes nothing after it, found {text:?}"))
                .hint(format!("write {word}"))),
        };
        match word {
            "least_request" => plain(Self::LeastRequest),
            "round_robin" => plain(Self::RoundRobin),
            "ewma" => plain(Self::Ewma),
            "random" => plain(Self::Random),
            "hash" => hash_key(about.unwrap_or_default()).map(Self::Hash),
            "sticky" => cookie(about.unwrap_or_default(), "sticky").map(Self::Sticky),
            _ => {
                Err(Wrong::new(format!("unknown balance {text:?}"))
                    .hint(suggest("words", word, WORDS)))
            }
        }
    }

    fn json_schema() -> Json {
        json!({
            "type": "string",
            "pattern": "^(least_request|round_robin|ewma|random|sticky:.+|hash:(client_ip|(header|cookie|path):.+))$",
        })
    }
}
scalars!(Balance);

fn hash_key(text: &str) -> Result<HashKey, Wrong> {
    let (what, name) = text.split_once(':').unwrap_or((text, ""));
    match what {
        "client_ip" if name.is_empty() && !text.ends_with(':') => Ok(HashKey::ClientIp),
        "header" => match HeaderName::try_from(name) {
            Ok(name) => Ok(HashKey::Header(name)),
            Err(_) => Err(Wrong::new(format!("{name:?} cannot be the name of a header"))
                .hint("write hash:header:NAME, such as hash:header:x-user")),
        },
        "cookie" => cookie(name, "hash:cookie").map(HashKey::Cookie),
        "path" if is_variable(name) => Ok(HashKey::Path(name.to_owned())),
        "path" => Err(Wrong::new(format!("{name:?} cannot be a variable of a path"))
            .hint("write hash:path:NAME for what {NAME} of the route's path holds")),
        _ => {
            let hint = match nearest(what, KEYS) {
                Some(near) => format!("did you mean hash:{near}?"),
                None => {
                    "write hash:header:NAME, hash:cookie:NAME, hash:path:NAME or hash:client_ip"
                        .to_owned()
                }
            };
            let found = if text.is_empty() { "hash".to_owned() } else { format!("hash:{text}") };
            Err(Wrong::new(format!("{found} does not say what to hash")).hint(hint))
        }
    }
}

/// The name of a cookie (RFC 6265 §4.1.1), which is a token like that of a header.
fn cookie(name: &str, before: &str) -> Result<String, Wrong> {
    let is_token = HeaderName::try_from(name).is_ok();
    is_token.then(|| name.to_owned()).ok_or_else(|| {
        Wrong::new(format!("{name:?} cannot be the name of a cookie"))
            .hint(format!("write {before}:NAME, such as {before}:session"))
    })
}

fn is_variable(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(inner)
}
