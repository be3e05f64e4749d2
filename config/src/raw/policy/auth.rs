//! `auth:` as typed. Messages never repeat a value that may be secret, and reports never quote it;
//! see `yaml::secret`.

use crate::decode::{
    At, Decode, Defs, FromScalar, Many, Named, NonEmpty, ShortOr, Url, Word, Wrong, record, scalars,
};
use crate::model::{KeyPlace, Secret};
use crate::problem::Report;
use crate::yaml::{Kind, Node, Value};
use http::HeaderName;
use serde_json::{Value as Json, json};
use std::time::Duration;

record! {
    /// Who may come in: whoever satisfies one of jwt, api_key and basic, and forward too.
    RawAuth("auth") {
        /// Bearer tokens with a signature (JWT).
        "jwt" => jwt: At<RawJwt>,
        /// Keys that are known beforehand.
        "api_key" => api_key: At<RawApiKeys>,
        /// User names and passwords (RFC 7617).
        "basic" => basic: At<RawBasic>,
        /// Asks another service about every request: its url, or a map.
        "forward" => forward: At<ShortOr<At<HttpUrl>, RawForwardAuth>>,
    }
}

record! {
    /// Tokens with a signature.
    RawJwt("auth.jwt") {
        /// The keys that tokens are checked with: a file with a JWK set, or its https:// address.
        "jwks" => jwks: At<RawJwks>,
        /// The secret that tokens are signed with (HS256, HS384, HS512), from the environment.
        "secret" => secret: At<SecretText>,
        /// Who may have issued a token; a list is fine. Default: anybody.
        "issuer" => issuers: NonEmpty<Many<Word>>,
        /// Whom a token may be for; a list is fine. Default: anybody.
        "audience" => audiences: NonEmpty<Many<Word>>,
        /// Algorithms that are taken. Default: all that fit the keys.
        "algorithms" => algorithms: NonEmpty<Many<At<Word>>>,
        /// Scopes that a token needs, all of them.
        "scopes" => scopes: NonEmpty<Many<Word>>,
        /// How far clocks may be apart. Default 30s.
        "leeway" => leeway: Duration,
        /// Claims that the service is told, each in a header.
        "claims" => claims: Named<At<Word>>,
        /// Where the token stands: bearer, header:NAME, cookie:NAME or query:NAME. Default bearer.
        "from" => from: KeyPlace,
        /// Whether the token is kept from the service. Default false.
        "strip" => strip: bool,
        /// How long a key set from a url is good. Default 5m.
        "cache" => cache: At<Duration>,
    }
}

record! {
    /// Keys that are known beforehand.
    RawApiKeys("auth.api_key") {
        /// Where the key stands: header:NAME, cookie:NAME, query:NAME or bearer. Default
        /// header:x-api-key.
        "in" => from: KeyPlace,
        /// Owners and the digests of their keys, as sha256:HEX.
        "keys" required => keys: At<Named<At<SecretText>>>,
        /// The request header that tells the service whose key it was.
        "owner_header" => owner_header: At<Word>,
        /// Whether the key is kept from the service. Default true.
        "strip" => strip: bool,
    }
}

record! {
    /// User names and passwords.
    RawBasic("auth.basic") {
        /// What browsers show. Default stitch.
        "realm" => realm: At<Word>,
        /// Users and their passwords: sha256:HEX, bcrypt ($2y$…), or a variable of the environment.
        "users" => users: At<Named<At<SecretText>>>,
        /// A file of NAME:HASH lines (htpasswd -B), relative to this file.
        "file" => file: At<Word>,
        /// The request header that tells the service who it was.
        "user_header" => user_header: At<Word>,
        /// Whether the password is kept from the service. Default true.
        "strip" => strip: bool,
    }
}

record! {
    /// Asks another service about every request.
    RawForwardAuth("auth.forward") {
        /// Its url; may be the url of a declared service.
        "url" required => url: At<HttpUrl>,
        /// How long it may take. Default 2s.
        "timeout" => timeout: At<Duration>,
        /// Request headers that it gets. Default: all, without those of the body.
        "request_headers" => request_headers: NonEmpty<Many<At<Word>>>,
        /// Headers of its 2xx that are put on the request.
        "response_headers" => response_headers: NonEmpty<Many<At<Word>>>,
    }
}

/// A secret, or its hash. What it is does not show in any message.
#[derive(Clone, Debug)]
pub(crate) struct SecretText {
    pub(crate) secret: Secret,
    /// A variable of the environment was filled in.
    pub(crate) filled: bool,
}

impl Decode for SecretText {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        let wrong = |what: &str| node.error(what);
        let Value::Scalar(scalar) = &node.value else {
            report.push(wrong("expected text, found a list or map"));
            return None;
        };
        if scalar.text.is_empty() || matches!(scalar.kind, Kind::Null) {
            report.push(wrong("expected text, found an empty one"));
            return None;
        }
        if !scalar.plain && scalar.text.contains("${") {
            report
                .push(wrong("this text stands in quotes, so its variable is not filled in").hint(
                    "remove the quotes; inside { } write the map over several lines instead",
                ));
            return None;
        }
        Some(Self { secret: Secret::new(scalar.text.as_str()), filled: scalar.filled })
    }

    fn schema(_: &mut Defs) -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

/// An address with a path and perhaps a query.
#[derive(Clone, Debug)]
pub(crate) struct HttpUrl {
    pub(crate) url: Url,
    pub(crate) path: String,
}

impl FromScalar for HttpUrl {
    const WHAT: &'static str = "a URL such as http://localhost:8000/check";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let start = text.find("://").map_or(0, |at| at + 3);
        let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
        let (base, path) = text.split_at(end);
        let url = Url::from_text(base)?;
        if !url.scheme.is_some_and(crate::model::Scheme::is_http) {
            return Err(Wrong::new(format!("expected {}, found {text:?}", Self::WHAT)));
        }
        if path.contains('#') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Wrong::new(format!("{path:?} is not the path of a request"))
                .hint("remove the fragment; percent-encode spaces and foreign letters"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { url, path: format!("{slash}{path}") })
    }
}
scalars!(HttpUrl);

/// `jwks`.
#[derive(Clone, Debug)]
pub(crate) enum RawJwks {
    File(Word),
    Url(HttpUrl),
}

impl FromScalar for RawJwks {
    const WHAT: &'static str = "a file or an https:// address";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text {
            _ if text.contains("://") => HttpUrl::from_text(text).map(Self::Url),
            _ if text.trim().is_empty() => {
                Err(Wrong::new(format!("expected {}, found an empty text", Self::WHAT)))
            }
            _ => Ok(Self::File(Word(text.to_owned()))),
        }
    }
}
scalars!(RawJwks);

impl FromScalar for KeyPlace {
    const WHAT: &'static str = "bearer, header:NAME, cookie:NAME or query:NAME";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let place = match text.split_once(':') {
            None if text == "bearer" => Some(Self::Bearer),
            Some(("header", name)) => HeaderName::try_from(name).ok().map(Self::Header),
            // The name of a cookie is a token, as that of a header is; only its case counts.
            Some(("cookie", name)) if HeaderName::try_from(name).is_ok() => {
                Some(Self::Cookie(name.to_owned()))
            }
            Some(("query", name))
                if !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)) =>
            {
                Some(Self::Query(name.to_owned()))
            }
            _ => None,
        };
        place.ok_or_else(|| {
            Wrong::new(format!("{text:?} is not a place in a request"))
                .hint(format!("write {}", Self::WHAT))
        })
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^(bearer|(header|cookie|query):.+)$" })
    }
}
scalars!(KeyPlace);
