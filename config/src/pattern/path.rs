//! One path pattern: parsed, compared, matched.

use percent_encoding::percent_decode_str;
use regex::Regex;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;

/// A pattern as written, checked and ready to match.
#[derive(Clone)]
pub struct PathPattern {
    text: String,
    kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Segments(Vec<Segment>),
    Regex(Regex),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Param(String),
    Rest,
}

/// Why a pattern was refused: a fragment, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Lower-case fragment naming the wrong part.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl PatternError {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// What `{name}` and `**` stood for in one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    /// Values by name, percent-decoded, in pattern order.
    pub params: SmallVec<[(&'p str, String); 4]>,
    /// What `**` matched: decoded, without a leading slash.
    pub rest: Option<String>,
}

impl Captures<'_> {
    /// The value of `{name}`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// When it starts with neither `/` nor `~`, `**` is not the last segment, a `{name}` is not one
    /// whole segment or stands twice, or the regular expression does not compile.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let kind = if let Some(expression) = text.strip_prefix('~') {
            Kind::Regex(Regex::new(expression).map_err(|error| PatternError {
                message: format!("regular expression does not compile: {}", last_line(&error)),
                hint: None,
            })?)
        } else if let Some(path) = text.strip_prefix('/') {
            Kind::Segments(parse_segments(path)?)
        } else {
            return Err(PatternError::new(
                format!("path {text:?} does not start with a slash"),
                format!("write \"/{text}\", or \"~{text}\" for a regular expression"),
            ));
        };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches exactly one path.
    pub fn is_literal(&self) -> bool {
        match &self.kind {
            Kind::Segments(segments) => {
                segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
            }
            Kind::Regex(_) => false,
        }
    }

    /// Whether it is a regular expression.
    pub fn is_regex(&self) -> bool {
        matches!(self.kind, Kind::Regex(_))
    }

    /// Whether it matches every path (`/**`).
    pub fn is_everything(&self) -> bool {
        matches!(&self.kind, Kind::Segments(segments) if segments == &[Segment::Rest])
    }

    /// Whether it ends in `**`.
    pub fn has_rest(&self) -> bool {
        matches!(&self.kind, Kind::Segments(segments) if segments.last() == Some(&Segment::Rest))
    }

    /// The pattern with its names left out: equal shapes match the same paths.
    pub fn shape(&self) -> String {
        match &self.kind {
            Kind::Regex(_) => self.text.clone(),
            Kind::Segments(segments) => {
                segments.iter().fold(String::new(), |shape, segment| match segment {
                    Segment::Literal(text) => shape + "/" + text,
                    Segment::Param(_) => shape + "/{}",
                    Segment::Rest => shape + "/**",
                })
            }
        }
    }

    /// The names of its `{name}` segments or named groups.
    pub fn names(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Regex(regex) => regex.capture_names().flatten().collect(),
            Kind::Segments(segments) => segments
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Param(name) => Some(name.as_str()),
                    Segment::Literal(_) | Segment::Rest => None,
                })
                .collect(),
        }
    }

    /// Whether a request path (as on the wire, without query) matches.
    pub fn matches(&self, path: &str) -> bool {
        self.captures(path).is_some()
    }

    /// Matches a request path and tells what the names stood for.
    pub fn captures(&self, path: &str) -> Option<Captures<'_>> {
        match &self.kind {
            Kind::Regex(regex) => regex_captures(regex, path),
            Kind::Segments(segments) => segment_captures(segments, path),
        }
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathPattern({:?})", self.text)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathPattern {}

/// Percent-decodes one segment; bytes that are not UTF-8 become U+FFFD.
pub(super) fn decode(segment: &str) -> Cow<'_, str> {
    if segment.contains('%') {
        percent_decode_str(segment).decode_utf8_lossy()
    } else {
        Cow::Borrowed(segment)
    }
}

fn last_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
}

fn parse_segments(path: &str) -> Result<Vec<Segment>, PatternError> {
    let mut segments = Vec::new();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let segment = parse_segment(part)?;
        if segment == Segment::Rest && parts.peek().is_some() {
            return Err(PatternError::new(
                "\"**\" stands before the end of the path",
                "\"**\" matches all that is left, so it must be the last segment",
            ));
        }
        if matches!(segment, Segment::Param(_)) && segments.contains(&segment) {
            return Err(PatternError::new(
                format!("{part} stands twice in one path"),
                "give each segment a name of its own",
            ));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn parse_segment(part: &str) -> Result<Segment, PatternError> {
    if part == "**" {
        return Ok(Segment::Rest);
    }
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let well_named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return if well_named {
            Ok(Segment::Param(name.to_owned()))
        } else {
            Err(PatternError::new(
                format!("{part} is not a name"),
                "use letters, digits and _, for example {user_id}",
            ))
        };
    }
    if part.contains(['{', '}', '*']) {
        return Err(PatternError::new(
            format!("segment {part:?} mixes text and a wildcard"),
            "{name} stands for one whole segment and ** for the rest; \
             start the path with ~ to write a regular expression",
        ));
    }
    Ok(Segment::Literal(decode(part).into_owned()))
}

fn regex_captures<'p>(regex: &'p Regex, path: &str) -> Option<Captures<'p>> {
    let found = regex.captures(path)?;
    let params = regex
        .capture_names()
        .flatten()
        .filter_map(|name| Some((name, decode(found.name(name)?.as_str()).into_owned())))
        .collect();
    Some(Captures { params, rest: None })
}

fn segment_captures<'p>(segments: &'p [Segment], path: &str) -> Option<Captures<'p>> {
    let mut captures = Captures::default();
    let mut left = path.strip_prefix('/');
    for segment in segments {
        if *segment == Segment::Rest {
            captures.rest = Some(decode(left.unwrap_or_default()).into_owned());
            return Some(captures);
        }
        let (part, after) = split_segment(left?);
        match segment {
            Segment::Literal(text) if decode(part) == *text => {}
            Segment::Param(name) if !part.is_empty() => {
                captures.params.push((name, decode(part).into_owned()));
            }
            _ => return None,
        }
        left = after;
    }
    left.is_none().then_some(captures)
}

/// The first segment and what follows its slash.
pub(super) fn split_segment(left: &str) -> (&str, Option<&str>) {
    match left.split_once('/') {
        Some((part, after)) => (part, Some(after)),
        None => (left, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn names_stand_for_one_whole_segment() {
        let charges = pattern("/charges/{id}/items/{item}");
        let captures = charges.captures("/charges/42/items/a%20b").unwrap();
        assert_eq!(captures.get("id"), Some("42"));
        assert_eq!(captures.get("item"), Some("a b"));
        assert!(!charges.matches("/charges/42/items"));
        assert!(!charges.matches("/charges/42/items/"));
        assert!(!charges.matches("/charges/42/items/1/2"));
    }

    #[test]
    fn an_encoded_slash_does_not_separate() {
        assert_eq!(pattern("/f/{name}").captures("/f/a%2Fb").unwrap().get("name"), Some("a/b"));
    }

    #[test]
    fn the_rest_may_be_empty() {
        let rest = pattern("/static/**");
        assert_eq!(rest.captures("/static").unwrap().rest.as_deref(), Some(""));
        assert_eq!(rest.captures("/static/").unwrap().rest.as_deref(), Some(""));
        assert_eq!(rest.captures("/static/a/b").unwrap().rest.as_deref(), Some("a/b"));
        assert!(!rest.matches("/statics"));
        assert!(pattern("/**").is_everything() && pattern("/**").matches("/"));
    }

    #[test]
    fn a_trailing_slash_counts() {
        assert!(pattern("/").matches("/"));
        assert!(!pattern("/a").matches("/a/"));
        assert!(pattern("/a/").matches("/a/"));
    }

    #[test]
    fn a_regular_expression_is_marked_and_not_anchored_by_us() {
        let regex = pattern("~^/v[12]/(?P<what>[a-z]+)$");
        assert!(regex.is_regex());
        assert_eq!(regex.captures("/v2/charges").unwrap().get("what"), Some("charges"));
        assert!(!regex.matches("/v3/charges"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("charge", "does not start with a slash"),
            ("/a/**/b", "before the end"),
            ("/a-{id}", "mixes text"),
            ("/{1x}", "is not a name"),
            ("/{a}/{a}", "twice"),
            ("~(", "does not compile"),
        ] {
            let message = PathPattern::parse(text).unwrap_err().message;
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn equal_shapes_ignore_names() {
        assert_eq!(pattern("/a/{x}/**").shape(), pattern("/a/{y}/**").shape());
        assert_ne!(pattern("/a/{x}").shape(), pattern("/a/x").shape());
    }
}
