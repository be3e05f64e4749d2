//! Keys, tokens and requests for tests.

use super::{Auth, AuthFiles, AuthStats, Caller, Checked, Facts, Refusal};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use http::Request;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use stitch_config::model::{self, Upstream};
use stitch_config::{Report, load_text};
use stitch_net::Body;

pub(super) const SECRET: &str = "a secret of more than thirty-two bytes";

/// Whoever issues tokens.
pub(super) struct Issuer {
    pub algorithm: Algorithm,
    pub key: EncodingKey,
    pub id: Option<String>,
}

/// The issuer of the whole process for an algorithm.
pub(super) fn issuer(algorithm: Algorithm) -> Issuer {
    static RSA: OnceLock<EncodingKey> = OnceLock::new();
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            EncodingKey::from_secret(SECRET.as_bytes())
        }
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => return fresh(algorithm),
        // Making these takes long.
        _ => RSA.get_or_init(rsa).clone(),
    };
    Issuer { algorithm, key, id: None }
}

/// An issuer that nobody knows yet.
pub(super) fn fresh(algorithm: Algorithm) -> Issuer {
    let random = SystemRandom::new();
    let curve = |curve| EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
    let key = match algorithm {
        Algorithm::ES256 => {
            EncodingKey::from_ec_der(curve(&ECDSA_P256_SHA256_FIXED_SIGNING).as_ref())
        }
        Algorithm::ES384 => {
            EncodingKey::from_ec_der(curve(&ECDSA_P384_SHA384_FIXED_SIGNING).as_ref())
        }
        Algorithm::EdDSA => {
            EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref())
        }
        Algorithm::HS256 => EncodingKey::from_secret(b"another secret of thirty-two bytes"),
        _ => {
            static OTHER: OnceLock<EncodingKey> = OnceLock::new();
            OTHER.get_or_init(rsa).clone()
        }
    };
    Issuer { algorithm, key, id: None }
}

fn rsa() -> EncodingKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    // What is inside the PKCS #8 wrapping of a key of this size.
    EncodingKey::from_rsa_der(&der.as_ref()[26..])
}

impl Issuer {
    pub fn named(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    pub fn token(&self, claims: &Value) -> String {
        let header = Header { kid: self.id.clone(), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        if let Some(id) = &self.id {
            jwk["kid"] = json!(id);
        }
        jwk
    }

    /// A set of its public key alone.
    pub fn jwks(&self) -> String {
        jwks(&[self])
    }
}

pub(super) fn jwks(issuers: &[&Issuer]) -> String {
    json!({ "keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>() }).to_string()
}

/// What the file says below `auth:`, two spaces deep.
pub(super) fn model(text: &str) -> model::Auth {
    let text = text.trim_end().replace('\n', "\n      ");
    let text = format!("services:\n  a:\n    url: http://h:1\n    auth:\n      {text}\n");
    let env = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "PASSWORD" => Some("hunter2".to_owned()),
        _ => None,
    };
    let loaded = load_text("stitch.yaml", &text, &env);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    loaded.config.services[0].policies.auth.get().unwrap().clone()
}

/// The same, compiled; no service is declared besides.
pub(super) fn auth(text: &str) -> Arc<Auth> {
    Auth::compile(&model(text), &AuthFiles::default(), &|_: &Upstream| None, None)
}

/// The same, where every address is this one.
pub(super) fn auth_asking(text: &str, caller: &Caller) -> Arc<Auth> {
    let declared = |_: &Upstream| Some(caller.clone());
    Auth::compile(&model(text), &AuthFiles::default(), &declared, None)
}

/// The files of a configuration in a folder.
pub(super) fn files(folder: &std::path::Path, text: &str) -> (Option<Arc<Auth>>, Report, String) {
    let path = folder.join("stitch.yaml");
    std::fs::write(&path, text).unwrap();
    let mut loaded = stitch_config::load(&path, &|_| None);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    let files = AuthFiles::load(&loaded.config, &mut loaded.report);
    let auth = loaded.config.services[0].policies.auth.get();
    let auth = auth.map(|auth| Auth::compile(auth, &files, &|_: &Upstream| None, None));
    let rendered = loaded.report.render(&loaded.sources);
    (auth, loaded.report, rendered)
}

pub(super) fn request(uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::Empty).unwrap()
}

pub(super) fn bearer(token: &str) -> Request<Body> {
    request("/", &[("authorization", &format!("Bearer {token}"))])
}

/// Checks a request to the end, as the flow does.
pub(super) async fn enter(
    auth: &Arc<Auth>,
    request: &mut Request<Body>,
) -> Result<Option<String>, Box<Refusal>> {
    let stats = Arc::new(AuthStats::new("a"));
    enter_counted(auth, request, &stats).await
}

pub(super) async fn enter_counted(
    auth: &Arc<Auth>,
    request: &mut Request<Body>,
    stats: &Arc<AuthStats>,
) -> Result<Option<String>, Box<Refusal>> {
    let (uri, host) = (request.uri().clone(), "shop.test".parse().unwrap());
    let client = Some("10.0.0.9".parse().unwrap());
    let facts = Facts { client, secure: true, host: Some(&host), uri: &uri, stats };
    let who = match auth.check(request, &facts) {
        Checked::In(who) => who,
        Checked::Refused(refusal) => return Err(refusal),
        Checked::Later(later) => later.await?.apply(request),
    };
    Ok(who.map(|who| who.to_string()))
}
