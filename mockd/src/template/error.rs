//! Why a template could not be rendered, and where it stands.

use super::text::Template;
use minijinja::ErrorKind;
use std::error::Error as _;
use std::fmt;
use stitch_config::Place;

/// How much of a template a message quotes.
const QUOTE: usize = 120;

/// A template that failed at run time.
#[derive(Clone, Debug)]
pub(crate) struct RenderError {
    /// The expression, or the template when it is not known which of its expressions failed.
    pub(crate) expression: String,
    /// What went wrong.
    pub(crate) message: String,
    /// Where the template stands.
    pub(crate) place: Place,
    /// The key path of the endpoint or subscription it belongs to.
    pub(crate) path: String,
}

impl RenderError {
    /// An error of a template, in our words.
    pub(super) fn new(template: &Template, message: impl Into<String>) -> Self {
        Self {
            expression: quote(&template.source),
            message: message.into(),
            place: template.place,
            path: template.path.to_string(),
        }
    }

    /// An error of a template, in the engine's words.
    pub(super) fn of(template: &Template, error: &minijinja::Error) -> Self {
        let expression = error.range().and_then(|range| template.shown(range));
        let mut failed = Self::new(template, describe(error));
        if let Some(expression) = expression {
            failed.expression = quote(expression);
        }
        failed
    }

    /// An error of text that came out of a template but cannot be used.
    pub(crate) fn unusable(place: Place, path: &str, value: &str, message: &str) -> Self {
        Self { expression: quote(value), message: message.to_owned(), place, path: path.to_owned() }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.expression, self.message)
    }
}

/// The error without the template's internal name and line.
pub(super) fn describe(error: &minijinja::Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => return "takes too many steps".to_owned(),
        kind => kind.to_string(),
    };
    let mut text = match error.detail() {
        Some(detail) if error.kind() == ErrorKind::UndefinedError => {
            format!("{what}: {detail}; use | default(…) where it may be absent")
        }
        Some(detail) => format!("{what}: {detail}"),
        None if error.kind() == ErrorKind::UndefinedError => {
            format!("{what}; use | default(…) where it may be absent")
        }
        None => what,
    };
    if let Some(source) = error.source() {
        text.push_str(": ");
        text.push_str(&source.to_string());
    }
    text
}

fn quote(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
