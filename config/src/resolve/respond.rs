//! Answers of the proxy's own: `fallback`, and `respond` of a route.

use super::body::header_list;
use super::context::Context;
use super::policies::{Owner, of_requests};
use crate::data::Data;
use crate::decode::At;
use crate::model::{Respond, Setting};
use crate::raw::{OrOff, RawRespond};
use http::HeaderValue;

pub(super) fn fallback(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RawRespond>>>,
    owner: &Owner,
) -> Setting<Respond> {
    match of_requests(cx, "fallback", raw, owner).map(|raw| raw.value) {
        None => Setting::Inherited,
        Some(OrOff::Off) => Setting::Off,
        Some(OrOff::On(raw)) => Setting::On(resolve(cx, raw)),
    }
}

pub(super) fn resolve(cx: &mut Context<'_>, raw: RawRespond) -> Respond {
    let list = raw.headers.map(|headers| header_list(cx, headers)).unwrap_or_default();
    let mut headers = Vec::with_capacity(list.len());
    for (name, text) in list {
        match HeaderValue::try_from(&text.text) {
            Ok(value) => headers.push((name, value)),
            Err(_) => cx.push(
                crate::problem::Problem::error(
                    text.place,
                    format!("headers.{name}"),
                    format!("the value of {name} holds a control character"),
                )
                .hint("a header's value is one line of text"),
            ),
        }
    }
    // `body:` with null behind it counts as not written, as everywhere but in data.
    let body = raw.body.map(|body| body.value).filter(|body| *body != Data::Null);
    let status = raw.status.as_ref().map_or(200, |status| status.value.0);
    if let Some(status) = raw.status.filter(|_| body.is_some() && matches!(status, 204 | 304)) {
        cx.push(
            status
                .spot
                .warning(format!(
                    "an answer with status {} has no body, so this one is never sent",
                    status.value.0
                ))
                .hint("remove the body, or write another status"),
        );
    }
    Respond { status, headers, body }
}
