//! `auth:` — who may come in.

use crate::model::{PemFile, Secret, Upstream};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// Who may come in: whoever satisfies one of `jwt`, `api_key` and `basic` (those that are written),
/// and `forward` too if that is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth {
    /// `jwt`.
    pub jwt: Option<Jwt>,
    /// `api_key`.
    pub api_key: Option<ApiKeys>,
    /// `basic`.
    pub basic: Option<BasicAuth>,
    /// `forward`.
    pub forward: Option<ForwardAuth>,
}

impl Auth {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PemFile> {
        let jwks = self.jwt.as_ref().and_then(|jwt| match &jwt.keys {
            Jwks::File(file) => Some(file),
            Jwks::Url { .. } | Jwks::Secret(_) => None,
        });
        jwks.into_iter().chain(self.basic.as_ref().and_then(|basic| basic.file.as_ref()))
    }
}

/// Bearer tokens with a signature (RFC 7519).
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// `jwks` or `secret`: what signatures are checked with.
    pub keys: Jwks,
    /// `issuer`: `iss` has to be one of these. Empty: any.
    pub issuers: Vec<String>,
    /// `audience`: `aud` has to hold one of these. Empty: any, and none.
    pub audiences: Vec<String>,
    /// `algorithms` that are taken. Default: RS256, RS384, RS512, PS256, PS384, PS512, ES256,
    /// ES384, EdDSA for keys of a JWKS; HS256, HS384, HS512 for a secret. Never `none`.
    pub algorithms: Vec<String>,
    /// `scopes`: each has to be in `scope` (separated by spaces) or `scp`.
    pub scopes: Vec<String>,
    /// `leeway` for `exp` and `nbf`. Default 30 s.
    pub leeway: Duration,
    /// `claims`: claim (dotted path) to request header; such headers from outside are removed.
    pub claims: Vec<(String, HeaderName)>,
    /// `from`: where the token stands. Default `authorization: Bearer …`.
    pub from: KeyPlace,
    /// `strip`: the token is not passed on. Default false.
    pub strip: bool,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Jwks {
    /// `jwks: ./keys.json`, a JWK set, watched like the configuration.
    File(PemFile),
    /// `jwks: https://…/jwks.json`, kept for `cache` and asked for again when an unknown key turns
    /// up, at most every 10 s.
    Url {
        /// Where: scheme, host and port, with the path and query apart.
        upstream: Box<Upstream>,
        /// Path and query.
        path: String,
        /// How long an answer is good. Default 5 min.
        cache: Duration,
    },
    /// `secret`: HMAC.
    Secret(Secret),
}

/// `api_key`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeys {
    /// `in`: where the key stands. Default header x-api-key.
    pub from: KeyPlace,
    /// `keys` by the name of their owner.
    pub keys: Vec<ApiKey>,
    /// `owner_header`: the request header that tells the service who it was; such headers from
    /// outside are removed.
    pub owner: Option<HeaderName>,
    /// `strip`: the key is not passed on. Default true.
    pub strip: bool,
}

/// A key and who has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Who.
    pub owner: Arc<str>,
    /// `sha256:HEX`.
    pub digest: Digest,
}

/// SHA-256 of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64)?;
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(digest))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(***)")
    }
}

/// Where a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// `bearer`: `authorization: Bearer …`.
    Bearer,
    /// `header:NAME`.
    Header(HeaderName),
    /// `cookie:NAME`.
    Cookie(String),
    /// `query:NAME`.
    Query(String),
}

/// `basic` (RFC 7617).
#[derive(Clone, Debug, PartialEq)]
pub struct BasicAuth {
    /// `realm`. Default `stitch`.
    pub realm: HeaderValue,
    /// `users`, or the lines of `file` (htpasswd).
    pub users: Vec<User>,
    /// `file`: a file of `name:hash` lines, relative to the file that names it.
    pub file: Option<PemFile>,
    /// `user_header`: the request header that tells the service who it was.
    pub user_header: Option<HeaderName>,
    /// `strip`: the header is not passed on. Default true.
    pub strip: bool,
}

/// A user and the password's hash.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Who.
    pub name: Arc<str>,
    /// What the password is compared with.
    pub password: PasswordHash,
}

/// How a password is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum PasswordHash {
    /// `sha256:HEX`.
    Sha256(Digest),
    /// `$2y$…`, of the right form.
    Bcrypt(Secret),
    /// Plain text; only from `${ENV}`. `{SHA}…` of htpasswd is refused.
    Plain(Secret),
}

/// `forward`: another service is asked for every request.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardAuth {
    /// Where: scheme, host and port; may be the url of a declared service.
    pub upstream: Box<Upstream>,
    /// Path and query; the original ones travel in x-forwarded-method, -proto, -host and -uri.
    pub path: String,
    /// `timeout`. Default 2 s.
    pub timeout: Duration,
    /// `request_headers` that the checker gets. Default: all, without those of the body.
    pub request_headers: Option<Vec<HeaderName>>,
    /// `response_headers` of a 2xx that are put on the request.
    pub response_headers: Vec<HeaderName>,
}

/// Why a text is not the hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongHash {
    /// It looks like none that is taken.
    Unknown,
    /// `sha256:` and something else than 64 hexadecimal digits.
    Digest,
    /// `$2…` in another form than bcrypt's.
    Bcrypt,
    /// A bcrypt that would take too long, or none at all.
    Cost(u8),
}

impl PasswordHash {
    /// The costs of bcrypt that are taken; a higher one takes longer than anybody waits.
    pub const COSTS: std::ops::RangeInclusive<u8> = 4..=16;

    /// Reads a hash.
    ///
    /// # Errors
    /// When it is none that can be checked.
    pub fn parse(text: &str) -> Result<Self, WrongHash> {
        if let Some(digest) = Digest::parse(text) {
            return Ok(Self::Sha256(digest));
        }
        if text.starts_with("sha256:") {
            return Err(WrongHash::Digest);
        }
        if !text.starts_with("$2") {
            return Err(WrongHash::Unknown);
        }
        let cost = bcrypt_cost(text).ok_or(WrongHash::Bcrypt)?;
        if !Self::COSTS.contains(&cost) {
            return Err(WrongHash::Cost(cost));
        }
        Ok(Self::Bcrypt(Secret::new(text)))
    }
}

/// The cost of a hash such as `$2y$10$` and 53 characters.
fn bcrypt_cost(text: &str) -> Option<u8> {
    let mut parts = text.splitn(4, '$').skip(1);
    let (version, cost, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let known = matches!(version, "2a" | "2b" | "2x" | "2y");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    let whole = rest.len() == 53 && rest.bytes().all(letter) && cost.len() == 2;
    let digits = cost.bytes().all(|byte| byte.is_ascii_digit());
    cost.parse().ok().filter(|_| known && whole && digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_that_can_be_checked_are_taken() {
        let bcrypt = "$2y$05$abcdefghijklmnopqrstuuvUBjcIE0MPcDgpEFHrxcXnTS7GWvCDq";
        let digest = format!("sha256:{}", "0aF".repeat(22).split_at(64).0);
        assert!(matches!(PasswordHash::parse(bcrypt), Ok(PasswordHash::Bcrypt(_))));
        assert!(matches!(PasswordHash::parse(&digest), Ok(PasswordHash::Sha256(_))));
        for (text, wrong) in [
            ("", WrongHash::Unknown),
            ("hunter2", WrongHash::Unknown),
            ("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", WrongHash::Unknown),
            ("$apr1$abcdefgh$0123456789012345678901", WrongHash::Unknown),
            (&digest[..70], WrongHash::Digest),
            (&digest.replace('F', "g"), WrongHash::Digest),
            (&bcrypt[..59], WrongHash::Bcrypt),
            (&bcrypt.replace("2y", "2z"), WrongHash::Bcrypt),
            (&bcrypt.replace("$05", "$+5"), WrongHash::Bcrypt),
            (&bcrypt.replace("$05", "$03"), WrongHash::Cost(3)),
            (&bcrypt.replace("$05", "$31"), WrongHash::Cost(31)),
        ] {
            assert_eq!(PasswordHash::parse(text).unwrap_err(), wrong, "{text}");
        }
    }
}
