//! What is done with requests and answers on their way, and who may send them.

use super::numbers::{bytes, percent};
use crate::dump::time;
use crate::model::{
    Auth, BodyEdit, BodyEdits, Cors, HeaderEdit, HeaderEdits, KeyPlace, Mirror, Origins, Respond,
};
use std::fmt::Display;

/// `https://a.example; GET, PUT; credentials; max_age 10m`.
pub(super) fn cors(cors: &Cors) -> String {
    let mut parts = vec![match &cors.origins {
        Origins::Any => "*".to_owned(),
        Origins::Only(origins) => origins.join(", "),
    }];
    parts.extend(cors.methods.as_deref().map(list));
    parts.extend(cors.credentials.then(|| "credentials".to_owned()));
    parts.push(format!("max_age {}", time(cors.max_age)));
    parts.join("; ")
}

/// `jwt in bearer or basic, and forward to http://checker/ask`.
pub(super) fn auth(auth: &Auth) -> String {
    let ways = [
        auth.jwt.as_ref().map(|jwt| format!("jwt in {}", place(&jwt.from))),
        auth.api_key.as_ref().map(|keys| format!("api_key in {}", place(&keys.from))),
        auth.basic.as_ref().map(|_| "basic".to_owned()),
    ];
    let ways: Vec<_> = ways.into_iter().flatten().collect();
    // A query may hold a key.
    let forward = auth.forward.as_ref().map(|forward| {
        let path = forward.path.split('?').next().unwrap_or_default();
        format!("forward to {}{path}", forward.upstream)
    });
    let one_of = (!ways.is_empty()).then(|| ways.join(" or "));
    one_of.into_iter().chain(forward).collect::<Vec<_>>().join(", and ")
}

fn place(place: &KeyPlace) -> String {
    match place {
        KeyPlace::Bearer => "bearer".to_owned(),
        KeyPlace::Header(name) => format!("header:{name}"),
        KeyPlace::Cookie(name) => format!("cookie:{name}"),
        KeyPlace::Query(name) => format!("query:{name}"),
    }
}

/// `request: set x-a, remove x-b; response: add x-c`. Values are not shown.
pub(super) fn headers(edits: &HeaderEdits) -> String {
    let one = |HeaderEdit { remove, set, add }: &HeaderEdit| {
        let names = |values: &[(http::HeaderName, _)]| -> Vec<_> {
            values.iter().map(|(name, _)| name.clone()).collect()
        };
        actions(&[("set", list(&names(set))), ("add", list(&names(add))), ("remove", list(remove))])
    };
    both(one(&edits.request), one(&edits.response))
}

/// `request: set $.a; response: remove $.b`.
pub(super) fn body(edits: &BodyEdits) -> String {
    let one = |BodyEdit { remove, set, .. }: &BodyEdit| {
        let set: Vec<_> = set.iter().map(|(path, _)| path).collect();
        actions(&[("set", list(&set)), ("remove", list(remove))])
    };
    let one = |edit: &Option<BodyEdit>| edit.as_ref().map(one).unwrap_or_default();
    both(one(&edits.request), one(&edits.response))
}

fn actions(actions: &[(&str, String)]) -> String {
    let there = actions.iter().filter(|(_, names)| !names.is_empty());
    there.map(|(what, names)| format!("{what} {names}")).collect::<Vec<_>>().join(", ")
}

fn both(request: String, response: String) -> String {
    let ways = [("request", request), ("response", response)];
    let ways = ways.into_iter().filter(|(_, words)| !words.is_empty());
    ways.map(|(way, words)| format!("{way}: {words}")).collect::<Vec<_>>().join("; ")
}

/// `10% to users-next; max 100; bodies up to 64KiB`.
pub(super) fn mirror(mirror: &Mirror) -> String {
    let (share, most) = (percent(mirror.share), bytes(mirror.max_body));
    format!("{share} to {}; max {}; bodies up to {most}", mirror.to, mirror.max)
}

/// `503 with a body`.
pub(super) fn fallback(respond: &Respond) -> String {
    let body = if respond.body.is_some() { " with a body" } else { "" };
    format!("{}{body}", respond.status)
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
