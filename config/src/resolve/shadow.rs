//! Endpoints that can never answer, because others take every request first.
//!
//! Two cases are certain and are told: the same shape of path with all methods taken, and a regular
//! expression (which always comes last) beside a `/**` that takes its methods.

use super::context::Context;
use crate::model::{Endpoint, Methods};
use http::Method;
use std::collections::HashMap;
use std::sync::Arc;

/// Warns of each endpoint that is never asked.
pub(super) fn warn(cx: &mut Context<'_>, endpoints: &[Arc<Endpoint>]) {
    let everything: Vec<_> = endpoints.iter().filter(|e| e.path.is_everything()).collect();
    let mut by_shape: HashMap<String, Vec<&Arc<Endpoint>>> = HashMap::new();
    for endpoint in endpoints {
        let same = by_shape.entry(endpoint.path.shape()).or_default();
        let winner = covering(endpoint, same)
            .or_else(|| covering(endpoint, &everything).filter(|_| endpoint.path.is_regex()));
        if let Some(winner) = winner {
            let line = winner.place.line;
            cx.push(
                crate::problem::Problem::warning(
                    endpoint.place,
                    format!("{}.path", endpoint.path_in_file),
                    format!(
                        "this endpoint is never asked: {:?} in line {line} takes its requests",
                        &*winner.id
                    ),
                )
                .hint("remove it, or give it another path or method"),
            );
        }
        same.push(endpoint);
    }
}

/// The last of the endpoints that together take every method of this one.
fn covering<'e>(endpoint: &Endpoint, others: &[&'e Arc<Endpoint>]) -> Option<&'e Arc<Endpoint>> {
    if let Some(any) = others.iter().find(|other| other.methods == Methods::Any) {
        return Some(any);
    }
    let Methods::Only(methods) = &endpoint.methods else { return None };
    let taker = |method: &Method| others.iter().find(|other| other.methods.contains(method));
    let takers: Option<Vec<_>> = methods.iter().map(taker).collect();
    takers?.last().copied().copied()
}
