//! Signed tokens (RFC 7519, RFC 7515): which algorithms are taken, whose signature it is, what it
//! says.

use super::admit::{Cause, Identity, Method, Refusal};
use super::claims::Rules;
use super::keys::KeySet;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use std::str::FromStr as _;
use stitch_config::model::Jwt;

/// What tokens are taken.
#[derive(Debug)]
pub(super) struct Tokens {
    algorithms: Vec<Algorithm>,
    pub rules: Rules,
    /// What is told to whoever shows none.
    pub challenge: HeaderValue,
    insufficient: HeaderValue,
}

/// A token that has not been checked.
pub(super) struct Token<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    message: &'t str,
    payload: &'t str,
    signature: &'t str,
}

/// What of its header matters. Where it says itself to find its key is not believed.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl Tokens {
    pub fn of(jwt: &Jwt) -> Self {
        // The loader has refused others.
        let algorithms = jwt.algorithms.iter().filter_map(|name| Algorithm::from_str(name).ok());
        let scopes = jwt.scopes.join(" ");
        let scopes = match scopes.contains(['"', '\\']) {
            true => String::new(),
            false => format!(", scope=\"{scopes}\""),
        };
        let insufficient = format!("Bearer error=\"insufficient_scope\"{scopes}");
        Self {
            algorithms: algorithms.collect(),
            rules: Rules::of(jwt),
            challenge: HeaderValue::from_static("Bearer"),
            insufficient: HeaderValue::try_from(insufficient).unwrap_or_else(|_| {
                HeaderValue::from_static("Bearer error=\"insufficient_scope\"")
            }),
        }
    }

    /// Takes a token apart; one with an algorithm that is not taken is not looked at further.
    pub fn read<'t>(&self, text: &'t str) -> Result<Token<'t>, Cause> {
        let (message, signature) = text.rsplit_once('.').ok_or(Cause::Malformed)?;
        let parts = message.split_once('.').filter(|(_, payload)| !payload.contains('.'));
        let (head, payload) = parts.ok_or(Cause::Malformed)?;
        let head: Head = decode(head).ok_or(Cause::Malformed)?;
        let algorithm = Algorithm::from_str(&head.alg).map_err(|_| Cause::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Cause::Algorithm);
        }
        // Whoever does not know what is critical has to refuse (RFC 7515 §4.1.11), and we know none.
        if head.crit.is_some() {
            return Err(Cause::Malformed);
        }
        Ok(Token { algorithm, key_id: head.kid, message, payload, signature })
    }

    /// Who the token is about, at this second since 1970.
    pub fn check(&self, token: &Token<'_>, keys: &KeySet, now: f64) -> Result<Identity, Cause> {
        let id = token.key_id.as_deref();
        keys.verify(id, token.algorithm, token.message.as_bytes(), token.signature)?;
        let claims = decode(token.payload).ok_or(Cause::Malformed)?;
        self.rules.check(&claims, now)
    }

    /// What is told to whoever shows a token that is not taken.
    pub fn refuse(&self, cause: Cause) -> Box<Refusal> {
        let mut refusal = Refusal::new(Method::Jwt, cause);
        let words = refusal.detail.as_ref();
        refusal.challenges = match cause {
            Cause::Unavailable => Vec::new(),
            Cause::Scope => vec![self.insufficient.clone()],
            _ => {
                let told = format!("Bearer error=\"invalid_token\", error_description=\"{words}\"");
                vec![HeaderValue::try_from(told).unwrap_or_else(|_| self.challenge.clone())]
            }
        };
        refusal
    }
}

impl Token<'_> {
    /// Whether newer keys might make a difference.
    pub fn might_be_newer(&self, cause: Cause) -> bool {
        match cause {
            Cause::UnknownKey => true,
            Cause::Signature => self.key_id.is_none(),
            _ => false,
        }
    }
}

/// A part of a token: JSON in base64url.
fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}
