//! What is near a request that nothing answers: the endpoints that differ least, and in what.

use crate::endpoint::EndpointMock;
use http::Method;
use serde::Serialize;
use smallvec::SmallVec;
use std::borrow::Cow;
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
    let mut ranked: Vec<_> = endpoints
        .take(COMPARED)
        .map(|endpoint| (Comparison::brief().of(endpoint, method, path).distance, endpoint))
        .collect();
    ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let shown = ranked.into_iter().take(SHOWN);
    shown
        .map(|(_, endpoint)| Near {
            endpoint: endpoint.model.id.to_string(),
            method: method_names(&endpoint.model.methods),
            path: endpoint.model.path.to_string(),
            differs: Comparison::in_words().of(endpoint, method, path).words.unwrap_or_default(),
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

/// How far a request is from an endpoint. A wrong method weighs less than a wrong segment, trailing
/// slash and case less than either.
struct Comparison {
    distance: f64,
    /// In words too, for the few that are shown.
    words: Option<Vec<String>>,
}

impl Comparison {
    fn brief() -> Self {
        Self { distance: 0.0, words: None }
    }

    fn in_words() -> Self {
        Self { distance: 0.0, words: Some(Vec::new()) }
    }

    fn differs(&mut self, distance: f64, words: impl FnOnce() -> String) {
        self.distance += distance;
        if let Some(all) = &mut self.words {
            all.push(words());
        }
    }

    fn of(mut self, endpoint: &EndpointMock, method: &Method, path: &str) -> Self {
        self.paths(endpoint, path);
        if !endpoint.answers(method) {
            let wanted = || method_names(&endpoint.model.methods);
            self.differs(0.5, || format!("method: {} instead of {method}", wanted()));
        }
        self
    }

    fn paths(&mut self, endpoint: &EndpointMock, path: &str) {
        let pattern = &endpoint.model.path;
        if pattern.matches(path) {
            return;
        }
        if pattern.is_regex() {
            return self.differs(2.0, || format!("path: the expression {pattern} does not match"));
        }
        let toggled: Cow<'_, str> = match path.strip_suffix('/') {
            Some(without) => without.into(),
            None => format!("{path}/").into(),
        };
        if pattern.matches(&toggled) {
            let wanted = if toggled.ends_with('/') { "with" } else { "without" };
            return self.differs(0.1, || format!("trailing slash: {wanted} one"));
        }
        self.segments(pattern.as_str(), path);
    }

    fn segments(&mut self, pattern: &str, path: &str) {
        let wanted: SmallVec<[&str; 16]> = segments(pattern).collect();
        let given: SmallVec<[&str; 16]> = segments(path).collect();
        let has_rest = wanted.last() == Some(&"**");
        let wanted = if has_rest { &wanted[..wanted.len() - 1] } else { &wanted[..] };
        for (number, (wanted, given)) in wanted.iter().zip(&given).enumerate() {
            self.segment(number + 1, wanted, given);
        }
        let missing = wanted.len().saturating_sub(given.len());
        let extra = if has_rest { 0 } else { given.len().saturating_sub(wanted.len()) };
        for (count, word) in [(missing, "more"), (extra, "fewer")] {
            if count > 0 {
                #[expect(clippy::cast_precision_loss, reason = "at most COMPARED_SEGMENTS")]
                let apart = count as f64;
                let plural = if count == 1 { "" } else { "s" };
                self.differs(apart, || format!("length: {count} segment{plural} {word}"));
            }
        }
    }

    fn segment(&mut self, number: usize, wanted: &str, given: &str) {
        let is_name = wanted.starts_with('{');
        if wanted == given {
            return;
        }
        if is_name && !given.is_empty() {
            // A name takes anything, but a literal that is really there says more.
            self.distance += 0.05;
        } else if is_name {
            let missing = || format!("path: a value for {wanted} is missing (segment {number})");
            self.differs(1.0, missing);
        } else if wanted.eq_ignore_ascii_case(given) {
            let words = || format!("case: {wanted:?} instead of {given:?} (segment {number})");
            self.differs(0.1, words);
        } else {
            let (wanted, given) = (cut(wanted), cut(given));
            let unlike = 1.0 - strsim::normalized_levenshtein(wanted, given);
            let words = || format!("path: {wanted:?} instead of {given:?} (segment {number})");
            self.differs(0.2 + unlike, words);
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/').take(COMPARED_SEGMENTS)
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(COMPARED_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use crate::testing::{api, ask, request};

    async fn first(endpoint: &str, line: &str) -> Vec<String> {
        let engine = api(&format!("- {{ path: '/far/away/from/here', response: x }}\n{endpoint}"));
        let seen = ask(&engine, request(line)).await;
        let nearest = seen.json()["nearest"][0].clone();
        assert_ne!(nearest["path"], "/far/away/from/here", "{}", seen.text);
        serde_json::from_value(nearest["differs"].clone()).unwrap()
    }

    #[tokio::test]
    async fn differences_are_told_in_words() {
        let charge = "- { path: /charges, method: POST, response: x }";
        let item = "- { path: '/u/{id}/items', response: x }";
        for (endpoint, line, differs) in [
            (charge, "GET /charges", vec!["method: POST instead of GET"]),
            (charge, "POST /charges/", vec!["trailing slash: without one"]),
            (charge, "POST /Charges", vec![r#"case: "charges" instead of "Charges" (segment 1)"#]),
            (charge, "POST /chrages", vec![r#"path: "charges" instead of "chrages" (segment 1)"#]),
            (charge, "POST /charges/7", vec!["length: 1 segment fewer"]),
            (item, "GET /u/7", vec!["length: 1 segment more"]),
            (item, "GET /u//items", vec!["path: a value for {id} is missing (segment 2)"]),
            ("- { path: /a/, response: x }", "GET /a", vec!["trailing slash: with one"]),
            (
                "- { path: /s/t/**, response: x }",
                "GET /s/T/u",
                vec![r#"case: "t" instead of "T" (segment 2)"#],
            ),
            (
                "- { path: '~^/v[12]$', response: x }",
                "GET /v3",
                vec!["path: the expression ~^/v[12]$ does not match"],
            ),
            (
                charge,
                "GET /charge",
                vec![
                    r#"path: "charges" instead of "charge" (segment 1)"#,
                    "method: POST instead of GET",
                ],
            ),
        ] {
            assert_eq!(first(endpoint, line).await, differs, "{line}");
        }
    }

    #[tokio::test]
    async fn three_are_shown_and_the_hint_says_what_to_do() {
        let engine = api("- { path: /a/b, response: x }
- { path: /a/c, response: x }
- { path: /a/d, response: x }
- { path: /z/y/x, method: ANY, response: x }");
        let seen = ask(&engine, request("GET /a/bb")).await.json();
        assert_eq!(seen["nearest"].as_array().unwrap().len(), 3);
        assert_eq!(seen["nearest"][0]["endpoint"], "api GET /a/b");
        assert_eq!(
            seen["hint"],
            r#"api GET /a/b differs only in path: "b" instead of "bb" (segment 2)"#
        );
        let seen = ask(&engine, request("POST /z")).await.json();
        assert_eq!(seen["hint"], "api ANY /z/y/x differs only in length: 2 segments more");
    }

    #[tokio::test]
    async fn people_get_text() {
        let engine = api("- { path: /a, response: x }");
        let mut asked = request("GET /b");
        asked.headers_mut().insert("accept", "text/plain".parse().unwrap());
        let seen = ask(&engine, asked).await;
        assert_eq!(seen.header("content-type"), "text/plain; charset=utf-8");
        assert!(
            seen.text.starts_with("404 Not Found: no endpoint of api answers GET /b\n"),
            "{}",
            seen.text
        );
    }

    #[tokio::test]
    async fn long_and_odd_paths_are_compared_within_bounds() {
        let engine = api("- { path: /a/b, response: x }");
        let long = format!("GET /{}", "x".repeat(60_000));
        let seen = ask(&engine, request(&long)).await;
        assert!(seen.text.len() < 2_000, "{}", seen.text.len());
        let deep = format!("GET {}", "/x".repeat(10_000));
        assert_eq!(ask(&engine, request(&deep)).await.status, 404);
    }
}
