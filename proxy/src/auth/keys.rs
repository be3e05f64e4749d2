//! Keys that signatures are checked with. A key is of one kind and takes only algorithms of that kind,
//! so that a public key never serves as a secret.

use super::admit::Cause;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use std::str::FromStr as _;

/// Keys that a set may have.
const MOST_KEYS: usize = 100;

/// A set of keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that it is for, if it says so.
    only: Option<Algorithm>,
    key: DecodingKey,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
    Secret,
}

impl Kind {
    /// The kind that an algorithm needs; `None` for those that are not known here.
    fn of(algorithm: Algorithm) -> Option<Self> {
        use Algorithm as A;
        Some(match algorithm {
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => Self::Rsa,
            A::ES256 => Self::P256,
            A::ES384 => Self::P384,
            A::EdDSA => Self::Ed25519,
            A::HS256 | A::HS384 | A::HS512 => Self::Secret,
            _ => return None,
        })
    }
}

/// A member of a JWK set (RFC 7517). What a key does not need may be anything.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// One secret, for HMAC.
    pub fn secret(secret: &str) -> Self {
        let key = DecodingKey::from_secret(secret.as_bytes());
        Self { keys: vec![Key { id: None, kind: Kind::Secret, only: None, key }] }
    }

    /// No key at all: nothing is signed with it.
    pub fn empty() -> Self {
        Self { keys: Vec::new() }
    }

    /// Reads a JWK set. Keys that cannot check signatures are left out.
    ///
    /// # Errors
    /// When no key is left; the rest of a sentence that begins with the set.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        // What the parser says may repeat what it read.
        let set: Jwks = serde_json::from_slice(json)
            .map_err(|_| "is not a JWK set: {\"keys\": [...]}".to_owned())?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("holds {} keys, and {MOST_KEYS} are read", set.keys.len()));
        }
        let mut why = "it is empty";
        let mut keys = Vec::with_capacity(set.keys.len());
        for key in set.keys {
            match serde_json::from_value(key).map_err(|_| "a key cannot be read").and_then(Key::of)
            {
                Ok(key) => keys.push(key),
                Err(wrong) => why = wrong,
            }
        }
        match keys.is_empty() {
            true => Err(format!("holds no key that signatures can be checked with: {why}")),
            false => Ok(Self { keys }),
        }
    }

    /// Whether a signature is of one of the keys.
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &str,
    ) -> Result<(), Cause> {
        let named = |key: &&Key| match (&key.id, id) {
            (Some(own), Some(wanted)) => own == wanted,
            // A key without a name may be any, and a token that names none may be of any.
            _ => true,
        };
        let mut cause = Cause::UnknownKey;
        for key in self.keys.iter().filter(named) {
            let fits = Kind::of(algorithm) == Some(key.kind);
            if !fits || key.only.is_some_and(|only| only != algorithm) {
                if cause == Cause::UnknownKey && key.id.is_some() && id.is_some() {
                    cause = Cause::Algorithm;
                }
                continue;
            }
            match crypto::verify(signature, message, &key.key, algorithm) {
                Ok(true) => return Ok(()),
                Ok(false) => cause = Cause::Signature,
                Err(_) => cause = Cause::Malformed,
            }
        }
        Err(cause)
    }
}

impl Key {
    fn of(jwk: Jwk) -> Result<Self, &'static str> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("a key is not for signatures (\"use\")");
        }
        if jwk.key_ops.is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err("a key is not for checking signatures (\"key_ops\")");
        }
        let length = |text: &Option<String>| {
            let bytes = text.as_ref().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
            bytes.map_or(0, |bytes| bytes.len())
        };
        let (kind, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) if !(256..=1024).contains(&length(&jwk.n)) => {
                return Err("an RSA key does not have 2048 to 8192 bits");
            }
            ("RSA", _) => {
                let (n, e) = jwk.n.zip(jwk.e).ok_or("an RSA key lacks \"n\" or \"e\"")?;
                (Kind::Rsa, DecodingKey::from_rsa_components(&n, &e))
            }
            ("EC", Some(curve @ ("P-256" | "P-384"))) => {
                let (kind, size) = match curve {
                    "P-256" => (Kind::P256, 32),
                    _ => (Kind::P384, 48),
                };
                if length(&jwk.x) != size || length(&jwk.y) != size {
                    return Err("an EC key is not as long as its curve asks for");
                }
                let (x, y) = jwk.x.zip(jwk.y).ok_or("an EC key lacks \"x\" or \"y\"")?;
                (kind, DecodingKey::from_ec_components(&x, &y))
            }
            ("EC", _) => return Err("an EC key is on a curve other than P-256 and P-384"),
            ("OKP", Some("Ed25519")) if length(&jwk.x) == 32 => {
                let x = jwk.x.unwrap_or_default();
                (Kind::Ed25519, DecodingKey::from_ed_components(&x))
            }
            ("OKP", _) => return Err("an OKP key is not one of Ed25519"),
            ("oct", _) => return Err("a secret does not belong into a set of public keys"),
            _ => return Err("a key is of an unknown type"),
        };
        let only = match jwk.alg.as_deref().map(Algorithm::from_str) {
            None => None,
            Some(Ok(only)) if Kind::of(only) == Some(kind) => Some(only),
            Some(_) => return Err("a key is for an algorithm that is not its own or not known"),
        };
        let key = key.map_err(|_| "a key is not written in base64url")?;
        Ok(Self { id: jwk.kid, kind, only, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(keys: &str) -> Result<usize, String> {
        KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes()).map(|set| set.keys.len())
    }

    #[test]
    fn a_set_without_a_usable_key_says_why() {
        let x = "A".repeat(43);
        let short = "A".repeat(171);
        for (keys, part) in [
            (String::new(), "it is empty"),
            ("{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}".to_owned(), "a secret does not belong"),
            (format!("{{\"kty\":\"RSA\",\"n\":\"{short}\",\"e\":\"AQAB\"}}"), "2048 to 8192 bits"),
            ("{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"\",\"y\":\"\"}".to_owned(), "curve"),
            (format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\"}}"), "as long as"),
            (format!("{{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"{x}\"}}"), "Ed25519"),
            (
                format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\",\"use\":\"enc\"}}"),
                "not for signatures",
            ),
            (
                format!(
                    "{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\",\"key_ops\":[\"sign\"]}}"
                ),
                "not for checking",
            ),
            (
                format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\",\"alg\":\"HS256\"}}"),
                "not its own",
            ),
            ("5, {\"kty\":5}".to_owned(), "cannot be read"),
        ] {
            let why = parse(&keys).unwrap_err();
            assert!(why.contains(part), "{keys}: {why}");
        }
        assert!(KeySet::parse(b"[]").is_err() && KeySet::parse(b"\xff").is_err());
    }

    #[test]
    fn a_usable_key_is_enough_and_a_hundred_are_the_most() {
        let good = format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"}}", "A".repeat(43));
        assert_eq!(parse(&format!("{{\"kty\":\"new\"}},{good}")), Ok(1));
        assert_eq!(parse(&vec![good.as_str(); 100].join(",")), Ok(100));
        assert!(parse(&vec![good.as_str(); 101].join(",")).unwrap_err().contains("101 keys"));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", KeySet::secret("hunter2")).contains("104, 117"));
    }
}
