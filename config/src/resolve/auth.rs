//! `auth:` — who may come in. Messages name keys and users, never what they are let in by.

use super::context::Context;
use super::policies::{Owner, of_requests};
use super::timeouts::positive;
use crate::decode::{At, Many, NonEmpty, Record as _, ShortOr, Word};
use crate::model::{
    ApiKey, ApiKeys, Auth, BasicAuth, Digest, ForwardAuth, Jwks, Jwt, KeyPlace, PasswordHash,
    PemFile, Setting, Upstream, User, WrongHash,
};
use crate::near;
use crate::raw::{
    HttpUrl, OrOff, RawApiKeys, RawAuth, RawBasic, RawForwardAuth, RawJwks, RawJwt, SecretText,
};
use crate::yaml::Spot;
use http::{HeaderName, HeaderValue};
use std::time::Duration;

/// Algorithms of public keys.
const PUBLIC: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
/// Algorithms of a secret.
const SHARED: [&str; 3] = ["HS256", "HS384", "HS512"];

const WRITE_HASH: &str =
    "write sha256:HEX, which \"stitch hash\" makes of it, or take it from the environment";

pub(super) fn resolve(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RawAuth>>>,
    owner: &Owner,
) -> Setting<Auth> {
    let Some(At { spot, value }) = of_requests(cx, "auth", raw, owner) else {
        return Setting::Inherited;
    };
    let OrOff::On(raw) = value else { return Setting::Off };
    if raw.written.is_empty() {
        cx.push(
            spot.error("\"auth\" names no way in")
                .hint("add jwt:, api_key:, basic: or forward:, or write auth: none"),
        );
        return Setting::Inherited;
    }
    Setting::On(Auth {
        jwt: raw.jwt.and_then(|raw| jwt(cx, &raw.spot, raw.value)),
        api_key: raw.api_key.and_then(|raw| api_keys(cx, raw.value)),
        basic: raw.basic.and_then(|raw| basic(cx, &raw.spot, raw.value)),
        forward: raw.forward.and_then(|raw| forward(cx, raw.value)),
    })
}

fn jwt(cx: &mut Context<'_>, spot: &Spot, mut raw: RawJwt) -> Option<Jwt> {
    let keys = jwt_keys(cx, spot, &mut raw);
    let shared = raw.has("secret") && !raw.has("jwks");
    let algorithms = algorithms(cx, raw.algorithms.take(), shared);
    let claims = raw.claims.map(|claims| claims.0).unwrap_or_default();
    let mut headers: Vec<(String, HeaderName)> = Vec::new();
    for (claim, header) in claims {
        let Some(name) = told(cx, Some(&header)) else { continue };
        if headers.iter().any(|(_, known)| *known == name) {
            cx.push(
                header
                    .spot
                    .error(format!("two claims go into the header {name}"))
                    .hint("give each a header of its own"),
            );
        }
        headers.push((claim.value, name));
    }
    Some(Jwt {
        keys: keys?,
        issuers: texts(raw.issuers),
        audiences: texts(raw.audiences),
        algorithms,
        scopes: texts(raw.scopes),
        leeway: raw.leeway.unwrap_or(Duration::from_secs(30)),
        claims: headers,
        from: raw.from.unwrap_or(KeyPlace::Bearer),
        strip: raw.strip.unwrap_or(false),
    })
}

fn texts(raw: Option<NonEmpty<Many<Word>>>) -> Vec<String> {
    raw.map(|list| list.0.0).unwrap_or_default().into_iter().map(|word| word.0).collect()
}

fn jwt_keys(cx: &mut Context<'_>, spot: &Spot, raw: &mut RawJwt) -> Option<Jwks> {
    if !raw.has("jwks") && !raw.has("secret") {
        cx.push(
            spot.error("nothing says what tokens are checked with")
                .hint("write jwks: ./keys.json, jwks: https://HOST/PATH or secret: ${NAME}"),
        );
        return None;
    }
    if raw.has("jwks") && raw.has("secret") {
        let spot = raw.secret.as_ref().map_or(spot, |secret| &secret.spot);
        cx.push(spot.error("\"secret\" stands beside \"jwks\"").hint(
            "keep one of the two: whoever knows a public key could sign with it as a secret",
        ));
        return None;
    }
    let cache = raw.cache.take();
    match (raw.jwks.take(), raw.secret.take()) {
        (Some(At { spot, value: RawJwks::Url(HttpUrl { url, path }) }), _) => {
            if let Some(cache) = cache.as_ref().filter(|cache| cache.value.is_zero()) {
                cx.push(
                    cache
                        .spot
                        .error("a cache of 0 would fetch the keys for every request")
                        .hint("keys that are not known yet are asked for anyway; write 1m or more"),
                );
            }
            let cache = cache.map_or(Duration::from_secs(300), |cache| cache.value);
            Some(Jwks::Url { upstream: Box::new(upstream(&spot, url)?), path, cache })
        }
        (Some(At { spot, value: RawJwks::File(file) }), _) => {
            no_cache(cx, cache, "a file is read again when it changes");
            let place = spot.place;
            Some(Jwks::File(PemFile { path: cx.sources.relative(place, &file.0), place }))
        }
        (None, secret) => {
            no_cache(cx, cache, "a secret is not fetched");
            let At { spot, value: SecretText { secret, filled } } = secret?;
            let length = secret.reveal().len();
            if !filled {
                cx.push(
                    spot.error("the secret stands in the file")
                        .hint("take it from the environment, without quotes: secret: ${NAME}"),
                );
            } else if length < 32 {
                cx.push(
                    spot.warning(format!("a secret of {length} bytes can be guessed"))
                        .hint("HS256 wants at least 32 bytes (RFC 7518, section 3.2)"),
                );
            }
            Some(Jwks::Secret(secret))
        }
    }
}

fn no_cache(cx: &mut Context<'_>, cache: Option<At<Duration>>, why: &str) {
    if let Some(cache) = cache {
        cx.push(cache.spot.error("\"cache\" does nothing here").hint(format!("{why}; remove it")));
    }
}

fn upstream(spot: &Spot, url: crate::decode::Url) -> Option<Upstream> {
    let place = spot.place;
    let (scheme, address) = (url.scheme?, url.address);
    Some(Upstream { scheme, address, base_path: String::new(), weight: 1, tier: 1, place })
}

/// The algorithms that are taken: those written, or all that fit the keys.
fn algorithms(
    cx: &mut Context<'_>,
    raw: Option<NonEmpty<Many<At<Word>>>>,
    shared: bool,
) -> Vec<String> {
    let (fit, other) = if shared { (&SHARED[..], &PUBLIC[..]) } else { (&PUBLIC[..], &SHARED[..]) };
    let Some(NonEmpty(Many(words))) = raw else {
        return fit.iter().map(|&name| name.to_owned()).collect();
    };
    for At { spot, value: Word(name) } in &words {
        if fit.contains(&name.as_str()) {
            continue;
        }
        let problem = spot.error(format!("unknown algorithm {name:?}"));
        cx.push(if name.eq_ignore_ascii_case("none") {
            spot.error("a token without a signature proves nothing").hint("remove \"none\"")
        } else if !other.contains(&name.as_str()) {
            problem.hint(near::suggest("algorithms", name, fit.iter().copied()))
        } else if shared {
            spot.error(format!("{name} needs public keys, and this is a secret"))
                .hint("write HS256, HS384 or HS512, or jwks: instead of secret:")
        } else {
            spot.error(format!("{name} needs a secret, and a JWK set holds public keys"))
                .hint("remove it, or write secret: instead of jwks:")
        });
    }
    words.into_iter().map(|word| word.value.0).collect()
}

fn api_keys(cx: &mut Context<'_>, raw: RawApiKeys) -> Option<ApiKeys> {
    let At { spot, value: keys } = raw.keys?;
    if keys.0.is_empty() {
        cx.push(
            spot.error("there is no key").hint("write an owner and a digest: alice: sha256:HEX"),
        );
    }
    let mut known: Vec<ApiKey> = Vec::new();
    for (owner, At { spot, value }) in keys.0 {
        let Some(digest) = Digest::parse(value.secret.reveal()) else {
            let wrong = format!("the key of {:?} is not a digest", owner.value);
            cx.push(spot.error(wrong).hint(WRITE_HASH));
            continue;
        };
        if let Some(first) = known.iter().find(|key| key.digest == digest) {
            let wrong = format!("{:?} and {:?} have one key", first.owner, owner.value);
            cx.push(owner.spot.error(wrong).hint("give each owner a key of their own"));
        }
        known.push(ApiKey { owner: owner.value.into(), digest });
    }
    let default = KeyPlace::Header(HeaderName::from_static("x-api-key"));
    Some(ApiKeys {
        from: raw.from.unwrap_or(default),
        keys: known,
        owner: told(cx, raw.owner_header.as_ref()),
        strip: raw.strip.unwrap_or(true),
    })
}

fn basic(cx: &mut Context<'_>, spot: &Spot, raw: RawBasic) -> Option<BasicAuth> {
    if !raw.has("users") && !raw.has("file") {
        cx.push(spot.error("there is no user").hint("write users: and names, or file: ./htpasswd"));
        return None;
    }
    let realm = realm(cx, raw.realm);
    let users = raw.users.map(|users| users.value.0).unwrap_or_default();
    let users = users.into_iter().filter_map(|(name, password)| user(cx, name, password));
    let users: Vec<_> = users.collect();
    Some(BasicAuth {
        realm: realm?,
        users,
        file: raw.file.map(|At { spot: Spot { place, .. }, value: Word(file) }| PemFile {
            path: cx.sources.relative(place, file),
            place,
        }),
        user_header: told(cx, raw.user_header.as_ref()),
        strip: raw.strip.unwrap_or(true),
    })
}

/// What browsers show; it travels between quotes.
fn realm(cx: &mut Context<'_>, raw: Option<At<Word>>) -> Option<HeaderValue> {
    let Some(At { spot, value: Word(realm) }) = raw else {
        return Some(HeaderValue::from_static("stitch"));
    };
    let value = HeaderValue::from_str(&realm).ok().filter(|_| !realm.contains(['"', '\\']));
    if value.is_none() {
        cx.push(
            spot.error(format!("{realm:?} cannot be a realm"))
                .hint("letters, digits and spaces, without quotes and backslashes"),
        );
    }
    value
}

fn user(cx: &mut Context<'_>, name: At<String>, password: At<SecretText>) -> Option<User> {
    let At { spot, value: SecretText { secret, filled } } = password;
    if name.value.is_empty() || name.value.contains(|c: char| c == ':' || c.is_control()) {
        cx.push(
            name.spot
                .error(format!("{:?} cannot be the name of a user", name.value))
                .hint("a colon ends the name; remove it"),
        );
        return None;
    }
    let who = &name.value;
    let (wrong, hint) = match PasswordHash::parse(secret.reveal()) {
        Ok(password) => return Some(User { name: name.value.into(), password }),
        Err(WrongHash::Unknown) if filled => {
            return Some(User { name: name.value.into(), password: PasswordHash::Plain(secret) });
        }
        Err(WrongHash::Unknown) => {
            (format!("the password of {who:?} stands in the file"), WRITE_HASH)
        }
        Err(WrongHash::Digest) => {
            (format!("the digest of {who:?} is not 64 hexadecimal digits"), WRITE_HASH)
        }
        Err(WrongHash::Bcrypt) => {
            (format!("the hash of {who:?} is not bcrypt's"), "htpasswd -nB NAME makes one")
        }
        Err(WrongHash::Cost(cost)) => (
            format!("the hash of {who:?} has a cost of {cost}"),
            "use one from 4 to 16, such as 10",
        ),
    };
    cx.push(spot.error(wrong).hint(hint));
    None
}

fn forward(cx: &mut Context<'_>, raw: ShortOr<At<HttpUrl>, RawForwardAuth>) -> Option<ForwardAuth> {
    let raw = match raw {
        ShortOr::Short(url) => RawForwardAuth { url: Some(url), ..RawForwardAuth::default() },
        ShortOr::Long(raw) => raw,
    };
    let mut names = |raw: Option<NonEmpty<Many<At<Word>>>>, check: Check| -> Option<Vec<_>> {
        let words = raw?.0.0;
        Some(words.iter().filter_map(|word| check(cx, Some(word))).collect())
    };
    let request_headers = names(raw.request_headers, header);
    let response_headers = names(raw.response_headers, passed).unwrap_or_default();
    let timeout = positive(cx, raw.timeout).unwrap_or(Duration::from_secs(2));
    let At { spot, value: HttpUrl { url, path } } = raw.url?;
    let upstream = Box::new(upstream(&spot, url)?);
    Some(ForwardAuth { upstream, path, timeout, request_headers, response_headers })
}

/// Checks the name of a header.
type Check = fn(&mut Context<'_>, Option<&At<Word>>) -> Option<HeaderName>;

fn header(cx: &mut Context<'_>, raw: Option<&At<Word>>) -> Option<HeaderName> {
    let At { spot, value: Word(text) } = raw?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        cx.push(
            spot.error(format!("{text:?} is not the name of a header"))
                .hint("letters, digits and -, such as x-user"),
        );
    }
    name
}

/// A header that may be set on a request.
fn passed(cx: &mut Context<'_>, raw: Option<&At<Word>>) -> Option<HeaderName> {
    const OURS: [&str; 12] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let name = header(cx, raw)?;
    if OURS.contains(&name.as_str()) || name.as_str().starts_with("x-stitch-") {
        let spot = &raw?.spot;
        cx.push(
            spot.error(format!("the header {name} is the proxy's own"))
                .hint("choose another, such as x-user"),
        );
        return None;
    }
    Some(name)
}

/// A header that tells the service who is calling.
fn told(cx: &mut Context<'_>, raw: Option<&At<Word>>) -> Option<HeaderName> {
    let name = passed(cx, raw)?;
    if matches!(name.as_str(), "authorization" | "cookie") {
        let spot = &raw?.spot;
        cx.push(
            spot.error(format!("the header {name} holds what clients are let in by"))
                .hint("choose another, such as x-user"),
        );
        return None;
    }
    Some(name)
}
