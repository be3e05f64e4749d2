//! `compression` and `cors`: what stands between a browser and a service.

use super::body::header_name;
use super::context::Context;
use super::policies::{Owner, of_requests};
use crate::decode::{At, Many, NonEmpty, Verb};
use crate::model::{Cors, Origins, Setting};
use crate::raw::{Enabled, OrOff, Origin, RawCors};
use http::{HeaderName, Method};
use std::time::Duration;

/// How long a browser remembers the answer to a preflight unless the file says otherwise.
const MAX_AGE: Duration = Duration::from_secs(600);

pub(super) fn compression(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<Enabled>>>,
    owner: &Owner,
) -> Setting<()> {
    match of_requests(cx, "compression", raw, owner).map(|raw| raw.value) {
        None => Setting::Inherited,
        Some(OrOff::Off) => Setting::Off,
        Some(OrOff::On(Enabled)) => Setting::On(()),
    }
}

pub(super) fn cors(
    cx: &mut Context<'_>,
    raw: Option<At<OrOff<RawCors>>>,
    owner: &Owner,
) -> Setting<Cors> {
    match of_requests(cx, "cors", raw, owner).map(|raw| raw.value) {
        None => Setting::Inherited,
        Some(OrOff::Off) => Setting::Off,
        Some(OrOff::On(raw)) => resolve(cx, raw).map_or(Setting::Inherited, Setting::On),
    }
}

fn resolve(cx: &mut Context<'_>, raw: RawCors) -> Option<Cors> {
    let RawCors { origins, methods, headers, expose, credentials, max_age, .. } = raw;
    let origins = resolve_origins(cx, origins?);
    let credentials = credentials.filter(|credentials| credentials.value);
    if let Some(credentials) = &credentials
        && origins == Origins::Any
    {
        cx.push(
            credentials
                .spot
                .error("\"credentials\" stands beside origins: \"*\"")
                .hint("any page could act in the name of whoever looks at it; list the origins"),
        );
    }
    let expose = match expose {
        Some(names) => exposed(cx, names, credentials.is_some()),
        None => ["grpc-status", "grpc-message", "x-request-id"].map(HeaderName::from_static).into(),
    };
    Some(Cors {
        origins,
        methods: methods.and_then(|methods| only(methods.0.0)),
        headers: headers.map(|names| allowed(cx, names.0)),
        expose,
        credentials: credentials.is_some(),
        max_age: max_age.unwrap_or(MAX_AGE),
    })
}

fn resolve_origins(cx: &mut Context<'_>, raw: At<NonEmpty<Many<At<Origin>>>>) -> Origins {
    let list = raw.value.0.0;
    let alone = list.len() == 1;
    let mut only = Vec::with_capacity(list.len());
    for At { spot, value } in list {
        match value {
            Origin::Any if alone => return Origins::Any,
            Origin::Any => cx.push(
                spot.error("\"*\" stands beside other origins")
                    .hint("keep it alone, or the others: it stands for all of them"),
            ),
            Origin::Only(origin) => only.push(origin),
        }
    }
    Origins::Only(only)
}

/// `None` when `ANY` is among them.
fn only(verbs: Vec<Verb>) -> Option<Vec<Method>> {
    let methods = verbs.into_iter().map(|verb| match verb {
        Verb::Any => None,
        Verb::Only(method) => Some(method),
    });
    methods.collect()
}

fn allowed(cx: &mut Context<'_>, names: Many<At<String>>) -> Vec<HeaderName> {
    let mut headers = Vec::with_capacity(names.0.len());
    for name in names.0 {
        if name.value == "*" {
            cx.push(
                name.spot
                    .error("\"*\" is not a header")
                    .hint("leave \"headers\" away: whatever is asked for is allowed then"),
            );
        } else {
            headers.extend(header_name(cx, &name));
        }
    }
    headers
}

/// `*` stands for every header, but means itself once credentials travel along.
fn exposed(cx: &mut Context<'_>, names: Many<At<String>>, credentials: bool) -> Vec<HeaderName> {
    let mut headers = Vec::with_capacity(names.0.len());
    for name in names.0 {
        if credentials && name.value == "*" {
            cx.push(
                name.spot
                    .error("expose: \"*\" stands beside \"credentials\"")
                    .hint("browsers take it for the name of a header then; list the headers"),
            );
        } else {
            headers.extend(header_name(cx, &name));
        }
    }
    headers
}
