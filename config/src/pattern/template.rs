//! The other side of a pattern: `rewrite: /users/**` and `redirect: {to: /new/{id}}`.

use super::path::{Captures, PathPattern, PatternError};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Bytes that cannot stand bare in a path segment (RFC 3986 §3.3).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path, or for redirects a whole URL, with `{name}` and a final `**` filled from a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Param(String),
    Rest,
}

impl PathTemplate {
    /// Parses a template and checks that `pattern` can fill it.
    ///
    /// # Errors
    /// When a `{name}` or `**` does not stand in the pattern, or a brace is left open.
    pub fn parse(text: &str, pattern: &PathPattern) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut left = text;
        let rest = left.strip_suffix("**");
        if let Some(before) = rest {
            if !pattern.has_rest() {
                return Err(PatternError::new(
                    format!("{text:?} ends in \"**\" but the matched path does not"),
                    format!("end the matched path in \"/**\" too, instead of {pattern}"),
                ));
            }
            left = before;
        }
        while let Some((before, after)) = left.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(PatternError::new(format!("{text:?} has an open brace"), "close it"));
            };
            if !pattern.names().contains(&name) {
                return Err(PatternError::new(
                    format!("{{{name}}} does not stand in the matched path {pattern}"),
                    format!("known names: {}", known(pattern)),
                ));
            }
            parts.extend([Part::Literal(before.to_owned()), Part::Param(name.to_owned())]);
            left = after;
        }
        parts.push(Part::Literal(left.to_owned()));
        if rest.is_some() {
            parts.push(Part::Rest);
        }
        parts.retain(|part| *part != Part::Literal(String::new()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Fills the template from what the pattern captured in `path`. `**` is copied as it stood on
    /// the wire, so that encoded slashes survive.
    pub fn render(&self, pattern: &PathPattern, path: &str, captures: &Captures<'_>) -> String {
        let mut out = String::with_capacity(self.text.len() + path.len());
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Param(name) => {
                    let value = captures.get(name).unwrap_or_default();
                    out.extend(utf8_percent_encode(value, SEGMENT));
                }
                Part::Rest => out.push_str(wire_rest(pattern, path)),
            }
        }
        // `/new/**` for `/old` must not end in a slash that the caller did not write.
        if self.parts.last() == Some(&Part::Rest)
            && out.len() > 1
            && out.ends_with('/')
            && !path.ends_with('/')
        {
            out.pop();
        }
        out
    }
}

fn known(pattern: &PathPattern) -> String {
    match pattern.names().as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// The part of `path` that `**` matched, undecoded.
fn wire_rest<'p>(pattern: &PathPattern, path: &'p str) -> &'p str {
    let depth = pattern.as_str().matches('/').count();
    path.splitn(depth + 1, '/').nth(depth).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(pattern: &str, template: &str, path: &str) -> String {
        let pattern = PathPattern::parse(pattern).unwrap();
        let template = PathTemplate::parse(template, &pattern).unwrap();
        template.render(&pattern, path, &pattern.captures(path).unwrap())
    }

    #[test]
    fn the_rest_moves_as_it_was_sent() {
        assert_eq!(rewrite("/api/users/**", "/users/**", "/api/users/1%2F2/x"), "/users/1%2F2/x");
        assert_eq!(rewrite("/api/users/**", "/users/**", "/api/users"), "/users");
        assert_eq!(rewrite("/api/users/**", "/users/**", "/api/users/"), "/users/");
        assert_eq!(rewrite("/api/**", "/**", "/api"), "/");
        assert_eq!(rewrite("/**", "/v1/**", "/a/b"), "/v1/a/b");
        assert_eq!(rewrite("/old/**", "https://new.example/**", "/old/x"), "https://new.example/x");
    }

    #[test]
    fn names_are_filled_and_encoded() {
        assert_eq!(rewrite("/u/{id}/p/{p}", "/{p}/of/{id}", "/u/a%20b/p/7"), "/7/of/a%20b");
    }

    #[test]
    fn what_the_pattern_cannot_fill_is_refused() {
        let pattern = PathPattern::parse("/u/{id}").unwrap();
        for template in ["/x/**", "/x/{nope}", "/x/{id"] {
            assert!(PathTemplate::parse(template, &pattern).is_err(), "{template}");
        }
    }
}
