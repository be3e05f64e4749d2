//! A service's endpoints: ids, defaults, and what they publish.

use super::context::Context;
use super::events::check_subject;
use super::{body, shadow};
use crate::data::{Data, Text};
use crate::decode::{At, Many, NonEmpty, Verb};
use crate::model::{Endpoint, Failure, Methods, Publish};
use crate::raw::{RawEndpoint, RawPublish};
use http::Method;
use std::collections::HashMap;
use std::sync::Arc;

/// The endpoints of one service, in file order; those without a usable path are left out.
pub(super) fn resolve_all(
    cx: &mut Context<'_>,
    service: &str,
    raw: Option<At<Vec<At<RawEndpoint>>>>,
) -> Vec<Arc<Endpoint>> {
    let mut taken = HashMap::new();
    let endpoints: Vec<_> = raw
        .map(|raw| raw.value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|raw| resolve(cx, service, raw, &mut taken).map(Arc::new))
        .collect();
    shadow::warn(cx, &endpoints);
    endpoints
}

fn resolve(
    cx: &mut Context<'_>,
    service: &str,
    raw: At<RawEndpoint>,
    taken: &mut HashMap<String, usize>,
) -> Option<Endpoint> {
    let At { spot, value: raw } = raw;
    let methods = methods(cx, raw.method);
    let response = body::resolve(cx, raw.response);
    let publishes = raw.nats_publish.map(|many| many.0).unwrap_or_default();
    let publishes = publishes.into_iter().filter_map(|raw| publish(cx, raw)).collect();
    let path = raw.path?;
    let share = raw.failure_rate.map_or(0.0, |share| share.0);
    Some(Endpoint {
        id: unique_id(format!("{service} {} {}", spell(&methods), path.value), taken).into(),
        path_in_file: spot.path.to_string(),
        // An endpoint is best pointed at by its path.
        place: path.spot.place,
        path: path.value,
        methods,
        response,
        delay: raw.delay,
        failures: if share > 0.0 { vec![Failure { share, status: 500 }] } else { Vec::new() },
        publishes,
    })
}

/// The id, numbered if there is one already.
pub(super) fn unique_id(id: String, taken: &mut HashMap<String, usize>) -> String {
    let count = taken.entry(id.clone()).or_default();
    *count += 1;
    if *count == 1 { id } else { format!("{id} #{count}") }
}

fn spell(methods: &Methods) -> String {
    match methods {
        Methods::Any => "ANY".to_owned(),
        Methods::Only(list) => list.iter().map(Method::as_str).collect::<Vec<_>>().join("|"),
    }
}

fn methods(cx: &mut Context<'_>, raw: Option<At<NonEmpty<Many<Verb>>>>) -> Methods {
    let Some(At { spot, value: NonEmpty(Many(verbs)) }) = raw else {
        return Methods::Only(vec![Method::GET]);
    };
    let mut methods = Vec::new();
    for verb in verbs {
        match verb {
            Verb::Any => return Methods::Any,
            Verb::Only(method) if methods.contains(&method) => {
                cx.push(spot.warning(format!("the method {method} stands twice")));
            }
            Verb::Only(method) => methods.push(method),
        }
    }
    if methods.is_empty() {
        methods.push(Method::GET);
    }
    Methods::Only(methods)
}

fn publish(cx: &mut Context<'_>, raw: RawPublish) -> Option<Publish> {
    let subject = raw.subject?;
    let text = subject.value.0;
    if !text.contains("{{") && !text.contains("{%") {
        cx.check(&subject.spot, check_subject(&text, false))?;
    }
    Some(Publish {
        subject: Text { text, place: subject.spot.place },
        data: raw.data.unwrap_or(Data::Null),
        delay: raw.delay,
    })
}
