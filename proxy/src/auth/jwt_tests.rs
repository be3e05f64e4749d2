//! Tokens against keys, at times that are made up.

use super::admit::{Cause, Identity};
use super::jwt::Tokens;
use super::keys::KeySet;
use super::testing::{Issuer, SECRET, fresh, issuer, jwks, model};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm::{self, *};
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const NOW: f64 = 1_800_000_000.0;
const ALL: [Algorithm; 12] =
    [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512];

fn is_shared(algorithm: Algorithm) -> bool {
    matches!(algorithm, HS256 | HS384 | HS512)
}

fn keys_of(issuer: &Issuer) -> KeySet {
    match is_shared(issuer.algorithm) {
        true => KeySet::secret(SECRET),
        false => KeySet::parse(issuer.jwks().as_bytes()).unwrap(),
    }
}

/// Rules from what the file says below `jwt:`.
fn tokens(text: &str) -> Tokens {
    let text = text.replace('\n', "\n  ");
    Tokens::of(model(&format!("jwt:\n  jwks: ./keys.json\n  {text}")).jwt.as_ref().unwrap())
}

/// Rules that take every algorithm, which no file can say.
fn lenient() -> Tokens {
    let mut jwt = model("jwt: { jwks: ./keys.json }").jwt.unwrap();
    jwt.algorithms = ALL.map(|algorithm| format!("{algorithm:?}")).to_vec();
    Tokens::of(&jwt)
}

fn check_at(tokens: &Tokens, keys: &KeySet, token: &str, now: f64) -> Result<Identity, Cause> {
    tokens.check(&tokens.read(token)?, keys, now)
}

fn check(tokens: &Tokens, keys: &KeySet, token: &str) -> Result<(), Cause> {
    check_at(tokens, keys, token, NOW).map(drop)
}

fn raw(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[test]
fn a_token_of_every_algorithm_is_taken_and_one_of_another_key_is_not() {
    for algorithm in ALL {
        let issuer = issuer(algorithm);
        let keys = keys_of(&issuer);
        let token = issuer.token(&json!({"sub": "ann"}));
        let identity = check_at(&lenient(), &keys, &token, NOW).unwrap();
        assert_eq!(identity.who.as_deref(), Some("ann"), "{algorithm:?}");
        let other = match algorithm {
            HS384 | HS512 => Issuer { algorithm, ..fresh(HS256) },
            _ => Issuer { algorithm, ..fresh(algorithm) },
        };
        let foreign = other.token(&json!({"sub": "ann"}));
        assert_eq!(check(&lenient(), &keys, &foreign), Err(Cause::Signature), "{algorithm:?}");
    }
}

#[test]
fn what_was_changed_after_signing_is_not_taken() {
    let issuer = issuer(ES256);
    let keys = keys_of(&issuer);
    let token = issuer.token(&json!({"sub": "ann"}));
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = BASE64_URL_SAFE_NO_PAD.encode("{\"sub\":\"eve\"}");
    assert_eq!(
        check(&lenient(), &keys, &format!("{head}.{other}.{signature}")),
        Err(Cause::Signature)
    );
    assert_eq!(check(&lenient(), &keys, &format!("{token}A")), Err(Cause::Signature));
    assert_eq!(check(&lenient(), &keys, &format!("{token}!")), Err(Cause::Malformed));
    assert_eq!(check(&lenient(), &keys, &format!("{head}.{other}.")), Err(Cause::Signature));
    assert_eq!(check(&lenient(), &keys, &format!("{token}.{signature}")), Err(Cause::Malformed));
}

#[test]
fn a_token_without_a_signature_is_never_taken() {
    let keys = keys_of(&issuer(ES256));
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let token = raw(&json!({"alg": name}), &json!({"sub": "ann"}), "");
        assert_eq!(check(&lenient(), &keys, &token), Err(Cause::Algorithm), "{name}");
    }
    for header in [json!({}), json!({"alg": null}), json!([]), json!("ES256")] {
        assert_eq!(check(&lenient(), &keys, &raw(&header, &json!({}), "")), Err(Cause::Malformed));
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let public = issuer(RS256);
    let jwk = public.jwk();
    let modulus = jwk["n"].as_str().unwrap();
    let keys = keys_of(&public);
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(modulus).unwrap();
    for secret in [modulus.as_bytes(), &bytes, public.jwks().as_bytes(), jwk.to_string().as_bytes()]
    {
        for algorithm in [HS256, HS384, HS512] {
            let key = EncodingKey::from_secret(secret);
            let token = Issuer { algorithm, key, id: None }.token(&json!({"sub": "eve"}));
            // Neither where HMAC is not taken, nor where somebody made it be.
            assert_eq!(check(&tokens("leeway: 0"), &keys, &token), Err(Cause::Algorithm));
            assert_eq!(check(&lenient(), &keys, &token), Err(Cause::UnknownKey));
        }
    }
    // A secret that somebody put into the set is not one of its keys.
    let oct = json!({"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET), "kid": "s"});
    let set = json!({"keys": [oct, jwk]}).to_string();
    let keys = KeySet::parse(set.as_bytes()).unwrap();
    let token = issuer(HS256).named("s").token(&json!({}));
    assert_eq!(check(&lenient(), &keys, &token), Err(Cause::UnknownKey));
}

#[test]
fn a_key_takes_its_own_algorithms_only() {
    let [rsa, p256, ed] = [RS256, ES256, EdDSA].map(|algorithm| issuer(algorithm).named("k"));
    for known in [&rsa, &p256, &ed] {
        let keys = KeySet::parse(known.jwks().as_bytes()).unwrap();
        for shown in [&rsa, &p256, &ed] {
            let expected =
                if known.algorithm == shown.algorithm { Ok(()) } else { Err(Cause::Algorithm) };
            assert_eq!(check(&lenient(), &keys, &shown.token(&json!({}))), expected);
        }
    }
    let mut jwk = rsa.jwk();
    jwk["alg"] = json!("RS512");
    let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    assert_eq!(check(&lenient(), &keys, &rsa.token(&json!({}))), Err(Cause::Algorithm));
    let long = Issuer { algorithm: RS512, ..issuer(RS256).named("k") };
    assert_eq!(check(&lenient(), &keys, &long.token(&json!({}))), Ok(()));
}

#[test]
fn only_listed_algorithms_are_taken() {
    let rsa = issuer(RS256);
    let keys = keys_of(&rsa);
    let short = tokens("algorithms: [RS256, ES256]");
    assert_eq!(check(&short, &keys, &rsa.token(&json!({}))), Ok(()));
    let long = Issuer { algorithm: RS384, ..issuer(RS256) };
    assert_eq!(check(&short, &keys, &long.token(&json!({}))), Err(Cause::Algorithm));
}

#[test]
fn a_key_is_chosen_by_its_name() {
    let [a, b] = ["a", "b"].map(|id| fresh(ES256).named(id));
    let keys = KeySet::parse(jwks(&[&a, &b]).as_bytes()).unwrap();
    let impostor = Issuer { id: Some("a".to_owned()), ..fresh(ES256) };
    let stranger = fresh(ES256).named("c");
    let nameless = Issuer { id: None, key: b.key.clone(), ..fresh(ES256) };
    for (issuer, expected) in [
        (&a, Ok(())),
        (&b, Ok(())),
        (&nameless, Ok(())),
        (&impostor, Err(Cause::Signature)),
        (&stranger, Err(Cause::UnknownKey)),
        (&fresh(ES256), Err(Cause::Signature)),
    ] {
        assert_eq!(check(&lenient(), &keys, &issuer.token(&json!({}))), expected);
    }
}

#[test]
fn keys_and_demands_in_the_token_are_not_believed() {
    let known = issuer(ES256);
    let keys = keys_of(&known);
    let eve = fresh(ES256);
    let header = json!({"alg": "ES256", "jwk": eve.jwk(), "jku": "https://eve.test/"});
    let message = raw(&header, &json!({"sub": "eve"}), "");
    let message = message.trim_end_matches('.');
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &eve.key, ES256).unwrap();
    assert_eq!(check(&lenient(), &keys, &format!("{message}.{signature}")), Err(Cause::Signature));
    let message = raw(&json!({"alg": "ES256", "crit": ["b64"], "b64": false}), &json!({}), "");
    let message = message.trim_end_matches('.');
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &known.key, ES256).unwrap();
    assert_eq!(check(&lenient(), &keys, &format!("{message}.{signature}")), Err(Cause::Malformed));
}

#[test]
fn times_are_kept_to_the_second_of_the_leeway() {
    let issuer = issuer(EdDSA);
    let keys = keys_of(&issuer);
    let tokens = tokens("leeway: 5s");
    for (claims, expected) in [
        (json!({}), Ok(())),
        (json!({"exp": NOW + 1.0}), Ok(())),
        (json!({"exp": NOW - 4.0}), Ok(())),
        (json!({"exp": NOW - 5.0}), Err(Cause::Expired)),
        (json!({"exp": 0}), Err(Cause::Expired)),
        (json!({"exp": -1e300}), Err(Cause::Expired)),
        (json!({"exp": "soon"}), Err(Cause::Malformed)),
        (json!({"exp": null}), Err(Cause::Malformed)),
        (json!({"exp": [NOW + 1.0]}), Err(Cause::Malformed)),
        (json!({"nbf": NOW + 5.0}), Ok(())),
        (json!({"nbf": NOW + 6.0}), Err(Cause::NotYet)),
        (json!({"nbf": 1e300}), Err(Cause::NotYet)),
        (json!({"nbf": "now"}), Err(Cause::Malformed)),
        (json!({"nbf": NOW - 10.0, "exp": NOW + 10.0}), Ok(())),
    ] {
        assert_eq!(check(&tokens, &keys, &issuer.token(&claims)), expected, "{claims}");
    }
    let token = issuer.token(&json!({"exp": NOW}));
    assert!(check_at(&tokens, &keys, &token, NOW - 1e9).is_ok());
    assert_eq!(check_at(&tokens, &keys, &token, NOW + 1e9).unwrap_err(), Cause::Expired);
}

#[test]
fn issuer_audience_and_scopes_have_to_fit() {
    let issuer = issuer(EdDSA);
    let keys = keys_of(&issuer);
    let tokens = tokens(
        "issuer: [https://id.test/, other]\naudience: [users, orders]\nscopes: [read, write]",
    );
    let good = json!({"iss": "other", "aud": "users", "scope": "write read"});
    for (key, value, expected) in [
        ("iss", json!("https://id.test/"), Ok(())),
        ("iss", json!("https://id.test"), Err(Cause::Issuer)),
        ("iss", json!(["other"]), Err(Cause::Issuer)),
        ("iss", Value::Null, Err(Cause::Issuer)),
        ("aud", json!(["x", "orders"]), Ok(())),
        ("aud", json!("x users"), Err(Cause::Audience)),
        ("aud", json!([]), Err(Cause::Audience)),
        ("aud", json!([["users"]]), Err(Cause::Audience)),
        ("aud", Value::Null, Err(Cause::Audience)),
        ("scope", json!("read write all"), Ok(())),
        ("scope", json!(["read", "write"]), Ok(())),
        ("scope", json!("read"), Err(Cause::Scope)),
        ("scope", json!("readwrite"), Err(Cause::Scope)),
        ("scope", Value::Null, Err(Cause::Scope)),
        ("scp", json!(["none"]), Ok(())),
    ] {
        let mut claims = good.clone();
        claims[key] = value;
        let got = check(&tokens, &keys, &issuer.token(&claims));
        assert_eq!(got, expected, "{claims}");
    }
    let split = json!({"iss": "other", "aud": "users", "scope": "read", "scp": ["write"]});
    assert_eq!(check(&tokens, &keys, &issuer.token(&split)), Ok(()));
    assert_eq!(check(&tokens, &keys, &issuer.token(&json!([1]))), Err(Cause::Malformed));
}

#[test]
fn a_lacking_scope_is_told_apart() {
    let tokens = tokens("scopes: [read, write]");
    let refusal = tokens.refuse(Cause::Scope);
    assert_eq!(refusal.status, 403);
    let told = "Bearer error=\"insufficient_scope\", scope=\"read write\"";
    assert_eq!(refusal.challenges, [told]);
    let refusal = tokens.refuse(Cause::Expired);
    assert_eq!(refusal.status, 401);
    let told = "Bearer error=\"invalid_token\", error_description=\"the token has expired\"";
    assert_eq!(refusal.challenges, [told]);
}

#[test]
fn tokens_of_another_library_are_taken() {
    // Made with PyJWT and Python's bcrypt.
    let made: Value = serde_json::from_str(include_str!("pyjwt.json")).unwrap();
    let public = KeySet::parse(made["jwks"].to_string().as_bytes()).unwrap();
    let secret = KeySet::secret(SECRET);
    let mut jwt =
        model("jwt: { jwks: ./k, issuer: \"https://id.test/\", audience: users, scopes: [read] }");
    let jwt = jwt.jwt.as_mut().unwrap();
    jwt.algorithms = ALL.map(|algorithm| format!("{algorithm:?}")).to_vec();
    let tokens = Tokens::of(jwt);
    for algorithm in ALL {
        let token = made["tokens"][format!("{algorithm:?}")].as_str().unwrap();
        let (own, other) =
            if is_shared(algorithm) { (&secret, &public) } else { (&public, &secret) };
        let identity = check_at(&tokens, own, token, NOW).unwrap();
        assert_eq!(identity.who.as_deref(), Some("ann"), "{algorithm:?}");
        assert!(check_at(&tokens, other, token, NOW).is_err(), "{algorithm:?}");
        assert_eq!(check_at(&tokens, own, token, 1.6e9).unwrap_err(), Cause::NotYet);
        assert_eq!(check_at(&tokens, own, token, 1.91e9).unwrap_err(), Cause::Expired);
    }
    let none = made["none"].as_str().unwrap();
    assert_eq!(check(&tokens, &public, none), Err(Cause::Algorithm));
    let hash = made["bcrypt"].as_str().unwrap();
    assert!(
        bcrypt::verify("hunter2 ü", hash).unwrap() && !bcrypt::verify("hunter2", hash).unwrap()
    );
}

/// A key of each kind.
static PUBLIC: LazyLock<Vec<(Algorithm, KeySet)>> = LazyLock::new(|| {
    let key = |algorithm| (algorithm, keys_of(&issuer(algorithm)));
    [RS256, PS512, ES256, ES384, EdDSA].map(key).into()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_token_breaks_anything(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let tokens = lenient();
        let keys = KeySet::secret(SECRET);
        let _ = check(&tokens, &keys, &text);
        let _ = check(&tokens, &keys, &String::from_utf8_lossy(&bytes));
        let _ = KeySet::parse(&bytes);
        let head = BASE64_URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\"}");
        let message = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(&bytes));
        let forged = format!("{message}.{text}");
        prop_assert!(check(&tokens, &keys, &forged).is_err());
        // Whatever a signed token says, it is either read or refused.
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, HS256).unwrap();
        let _ = check(&tokens, &keys, &format!("{message}.{signature}"));
    }

    #[test]
    fn no_signature_for_a_public_key_breaks_anything(signature in prop::collection::vec(any::<u8>(), 0..600)) {
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        for (algorithm, keys) in PUBLIC.iter() {
            let token = raw(&json!({"alg": format!("{algorithm:?}")}), &json!({}), &signature);
            prop_assert!(check(&lenient(), keys, &token).is_err());
        }
    }
}
