//! What is near a request that nothing answers: the endpoints that differ least, and in what.

use crate::endpoint::EndpointMock;
use http::Method;
use serde::Serialize;
use std::sync::Arc;
use stitch_config::model::Methods;

/// How many endpoints an explanation shows.
const SHOWN: usize = 3;
/// How many it looks at; a miss must stay cheap however many mocks there are.
const COMPARED: usize = 2_000;
/// How much of one segment is compared; edit distance is quadratic.
const COMPARED_CHARS: usize = 64;
/// How many segments are compared.
const COMPARED_SEGMENTS: usize = 64;

/// An endpoint that nearly matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Its id.
    pub endpoint: String,
    /// Its methods, as in the file.
    pub method: String,
    /// Its path pattern.
    pub path: String,
    /// What the request would have to change, most telling first.
    pub differs: Vec<String>,
}

/// The nearest of some endpoints.
pub(crate) fn nearest<'a>(
    endpoints: impl Iterator<Item = &'a Arc<EndpointMock>>,
    method: &Method,
    path: &str,
) -> Vec<Near> {
    let compared =
        endpoints.take(COMPARED).map(|endpoint| (compare(endpoint, method, path), endpoint));
    let mut ranked: Vec<_> = compared.collect();
    ranked.sort_by(|((a, _), _), ((b, _), _)| a.total_cmp(b));
    let shown = ranked.into_iter().take(SHOWN);
    shown
        .map(|((_, differs), endpoint)| Near {
            endpoint: endpoint.model.id.to_string(),
            method: method_names(&endpoint.model.methods),
            path: endpoint.model.path.to_string(),
            differs,
        })
        .collect()
}

/// `GET`, `GET, POST` or `ANY`.
pub(crate) fn method_names(methods: &Methods) -> String {
    match methods {
        Methods::Any => "ANY".to_owned(),
        Methods::Only(methods) => methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// How far apart, and in words. A wrong method weighs less than a wrong segment, trailing slash and
/// case less than either.
fn compare(endpoint: &EndpointMock, method: &Method, path: &str) -> (f64, Vec<String>) {
    let (mut distance, mut differs) = compare_paths(endpoint, path);
    if !endpoint.answers(method) {
        distance += 0.5;
        differs
            .push(format!("method: {} instead of {method}", method_names(&endpoint.model.methods)));
    }
    (distance, differs)
}

fn compare_paths(endpoint: &EndpointMock, path: &str) -> (f64, Vec<String>) {
    let pattern = &endpoint.model.path;
    if pattern.matches(path) {
        return (0.0, Vec::new());
    }
    if pattern.is_regex() {
        return (2.0, vec![format!("path: the expression {pattern} does not match")]);
    }
    let toggled = match path.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{path}/"),
    };
    if pattern.matches(&toggled) {
        let wanted = if toggled.ends_with('/') { "with" } else { "without" };
        return (0.1, vec![format!("trailing slash: {wanted} one")]);
    }
    compare_segments(pattern.as_str(), path)
}

fn compare_segments(pattern: &str, path: &str) -> (f64, Vec<String>) {
    let wanted: Vec<_> = segments(pattern).collect();
    let given: Vec<_> = segments(path).collect();
    let has_rest = wanted.last() == Some(&"**");
    let wanted = if has_rest { &wanted[..wanted.len() - 1] } else { &wanted[..] };
    let mut distance = 0.0;
    let mut differs = Vec::new();
    for (number, (wanted, given)) in wanted.iter().zip(&given).enumerate() {
        let (apart, what) = compare_segment(wanted, given);
        distance += apart;
        differs.extend(what.map(|what| format!("{what} (segment {})", number + 1)));
    }
    let missing = wanted.len().saturating_sub(given.len());
    let extra = if has_rest { 0 } else { given.len().saturating_sub(wanted.len()) };
    for (count, word) in [(missing, "more"), (extra, "fewer")] {
        if count > 0 {
            #[expect(clippy::cast_precision_loss, reason = "at most COMPARED_SEGMENTS")]
            let apart = count as f64;
            distance += apart;
            let plural = if count == 1 { "" } else { "s" };
            differs.push(format!("length: {count} segment{plural} {word}"));
        }
    }
    (distance, differs)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/').take(COMPARED_SEGMENTS)
}

fn compare_segment(wanted: &str, given: &str) -> (f64, Option<String>) {
    let is_name = wanted.starts_with('{');
    if wanted == given || is_name && !given.is_empty() {
        // A name takes anything, but a literal that is really there says more.
        return (if is_name { 0.05 } else { 0.0 }, None);
    }
    if is_name {
        return (1.0, Some(format!("path: a value for {wanted} is missing")));
    }
    if wanted.eq_ignore_ascii_case(given) {
        return (0.1, Some(format!("case: {wanted:?} instead of {given:?}")));
    }
    let cut = |text: &str| text.chars().take(COMPARED_CHARS).collect::<String>();
    let (short, shown) = (cut(wanted), cut(given));
    let alike = strsim::normalized_damerau_levenshtein(&short, &shown);
    (0.2 + (1.0 - alike), Some(format!("path: {short:?} instead of {shown:?}")))
}
