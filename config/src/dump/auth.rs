//! `auth` in the dump: who may come in, without what they are let in by.

use super::config::{MASK, time};
use crate::model::{Auth, Jwks, KeyPlace, Setting};
use serde_json::{Value as Json, json};

/// What `auth` says, with every secret and every hash masked.
pub(super) fn auth(setting: &Setting<Auth>) -> Json {
    let auth = match setting {
        Setting::Inherited => return Json::Null,
        Setting::Off => return json!("none"),
        Setting::On(auth) => auth,
    };
    let names = |names: &[http::HeaderName]| -> Vec<_> {
        names.iter().map(|name| name.as_str().to_owned()).collect()
    };
    let name = |name: &Option<http::HeaderName>| name.as_ref().map(|name| name.as_str().to_owned());
    json!({
        "jwt": auth.jwt.as_ref().map(|jwt| json!({
            "keys": keys(&jwt.keys),
            "issuer": jwt.issuers,
            "audience": jwt.audiences,
            "algorithms": jwt.algorithms,
            "scopes": jwt.scopes,
            "leeway": time(jwt.leeway),
            "claims": jwt.claims.iter().map(|(claim, name)| json!([claim, name.as_str()])).collect::<Vec<_>>(),
            "from": place(&jwt.from),
            "strip": jwt.strip,
        })),
        "api_key": auth.api_key.as_ref().map(|keys| json!({
            "in": place(&keys.from),
            "owners": keys.keys.iter().map(|key| &*key.owner).collect::<Vec<_>>(),
            "owner_header": name(&keys.owner),
            "strip": keys.strip,
        })),
        "basic": auth.basic.as_ref().map(|basic| json!({
            "realm": basic.realm.to_str().unwrap_or_default(),
            "users": basic.users.iter().map(|user| &*user.name).collect::<Vec<_>>(),
            "file": basic.file.as_ref().map(|file| file.path.display().to_string()),
            "user_header": name(&basic.user_header),
            "strip": basic.strip,
        })),
        "forward": auth.forward.as_ref().map(|forward| json!({
            "url": format!("{}{}", forward.upstream, path(&forward.path)),
            "timeout": time(forward.timeout),
            "request_headers": forward.request_headers.as_deref().map(names),
            "response_headers": names(&forward.response_headers),
        })),
    })
}

fn keys(keys: &Jwks) -> Json {
    match keys {
        Jwks::File(file) => json!({ "jwks": file.path.display().to_string() }),
        Jwks::Url { upstream, path: at, cache } => {
            json!({ "jwks": format!("{upstream}{}", path(at)), "cache": time(*cache) })
        }
        Jwks::Secret(_) => json!({ "secret": MASK }),
    }
}

/// A path, and a mask for its query: that may hold a key.
fn path(path: &str) -> String {
    match path.split_once('?') {
        Some((path, _)) => format!("{path}?{MASK}"),
        None => path.to_owned(),
    }
}

fn place(place: &KeyPlace) -> String {
    match place {
        KeyPlace::Bearer => "bearer".to_owned(),
        KeyPlace::Header(name) => format!("header:{name}"),
        KeyPlace::Cookie(name) => format!("cookie:{name}"),
        KeyPlace::Query(name) => format!("query:{name}"),
    }
}
