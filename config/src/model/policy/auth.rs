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
