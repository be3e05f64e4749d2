//! `headers`, `body`, `fallback` and `respond` in the dump, with values whose name sounds like a
//! secret masked.

use super::config::{masked_data, masked_text};
use crate::model::{BodyEdit, BodyEdits, HeaderEdit, HeaderEdits, Policies, Respond, Setting};
use http::HeaderName;
use serde_json::{Value as Json, json};

/// Puts the edits of a service or route into its dump: null is inherited, `none` is off.
pub(super) fn edits(out: &mut Json, policies: &Policies) {
    out["headers"] = setting(&policies.headers, headers);
    out["body"] = setting(&policies.body, body);
    out["fallback"] = setting(&policies.fallback, respond);
}

fn setting<T>(setting: &Setting<T>, show: impl Fn(&T) -> Json) -> Json {
    match setting {
        Setting::Inherited => Json::Null,
        Setting::Off => json!("none"),
        Setting::On(value) => show(value),
    }
}

fn headers(edits: &HeaderEdits) -> Json {
    let one = |HeaderEdit { remove, set, add }: &HeaderEdit| {
        let list = |values: &[(HeaderName, crate::model::Value)]| -> Json {
            values.iter().map(|(name, value)| line(name, &value.to_string())).collect()
        };
        json!({
            "remove": remove.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
            "set": list(set),
            "add": list(add),
        })
    };
    json!({ "request": one(&edits.request), "response": one(&edits.response) })
}

fn line(name: &HeaderName, value: &str) -> Json {
    json!([name.as_str(), masked_text(name.as_str(), value)])
}

fn body(edits: &BodyEdits) -> Json {
    let one = |BodyEdit { remove, set, max }: &BodyEdit| {
        let set = set.iter().map(|(path, value)| {
            let path = path.to_string();
            let value = masked_data(&path, value);
            json!([path, value])
        });
        json!({
            "remove": remove.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "set": set.collect::<Vec<_>>(),
            "max": max,
        })
    };
    json!({
        "request": edits.request.as_ref().map(one),
        "response": edits.response.as_ref().map(one),
    })
}

/// An answer of the proxy's own.
pub(super) fn respond(respond: &Respond) -> Json {
    let headers = respond
        .headers
        .iter()
        .map(|(name, value)| line(name, &String::from_utf8_lossy(value.as_bytes())));
    json!({
        "status": respond.status,
        "headers": headers.collect::<Vec<_>>(),
        "body": respond.body.as_ref().map(|body| masked_data("", body)),
    })
}
