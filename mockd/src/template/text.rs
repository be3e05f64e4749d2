//! One string of the file: literal text or a template.

use super::error::RenderError;
use super::lex::as_strings;
use super::scope::Scope;
use minijinja::value::Value;
use minijinja::{Environment, Error};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use stitch_config::Place;

/// The variable that holds the value of a lone expression.
const LONE: &str = "__value";
/// What stands before and after a lone expression, so that its value can be read back with its type.
const LONE_HEAD: &str = "{% set __value = (";
const LONE_TAIL: &str = ") %}";

/// A string, perhaps to be rendered.
#[derive(Debug)]
pub(crate) enum TextTemplate {
    /// Text without a template in it.
    Literal(String),
    /// Text to render.
    Template(Template),
}

/// A compiled template; the environment keeps it under `name`.
#[derive(Debug)]
pub(crate) struct Template {
    pub(super) name: Box<str>,
    /// As written, or as compiled where errors point into it.
    pub(super) source: Box<str>,
    /// Exactly one `{{ expression }}`: the expression's type is kept.
    pub(super) lone: bool,
    pub(super) place: Place,
    pub(super) path: Arc<str>,
}

/// What came out of a string.
#[derive(Debug)]
pub(crate) enum Rendered {
    /// Text.
    Text(String),
    /// A lone expression that is not a string.
    Json(serde_json::Value),
}

impl TextTemplate {
    /// Renders to text, whatever the type of a lone expression is.
    pub(crate) fn to_text(
        &self,
        environment: &Environment<'_>,
        scope: &Arc<Scope>,
    ) -> Result<String, RenderError> {
        match self.render(environment, scope)? {
            Rendered::Text(text) => Ok(text),
            Rendered::Json(value) => Ok(value.to_string()),
        }
    }

    /// Renders; a lone expression keeps its type.
    pub(crate) fn render(
        &self,
        environment: &Environment<'_>,
        scope: &Arc<Scope>,
    ) -> Result<Rendered, RenderError> {
        match self {
            Self::Literal(text) => Ok(Rendered::Text(text.clone())),
            Self::Template(template) => template.render(environment, scope),
        }
    }

    /// Where the template stands; unknown for literals, which cannot fail.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Literal(_) => Place::default(),
            Self::Template(template) => template.place,
        }
    }
}

impl Template {
    pub(super) fn render(
        &self,
        environment: &Environment<'_>,
        scope: &Arc<Scope>,
    ) -> Result<Rendered, RenderError> {
        let failed = |error: Error| RenderError::of(self, &error);
        let template = environment.get_template(&self.name).map_err(failed)?;
        let root = Value::from_dyn_object(scope.clone());
        if self.lone {
            let captured = template.render_captured(root).map_err(failed)?;
            let value = captured.state().lookup(LONE).unwrap_or_default();
            return self.typed(&value, scope);
        }
        let mut out = Bounded { scope, bytes: Vec::new(), full: false };
        match template.render_captured_to(root, &mut out) {
            _ if out.full => Err(self.too_large()),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(Rendered::Text(String::from_utf8_lossy(&out.bytes).into_owned())),
        }
    }

    fn typed(&self, value: &Value, scope: &Scope) -> Result<Rendered, RenderError> {
        if value.is_undefined() {
            let message = "the value is undefined; use | default(…) where it may be absent";
            return Err(RenderError::new(self, message));
        }
        let json = serde_json::to_value(value).map_err(|error| {
            RenderError::new(self, format!("cannot be written as JSON: {error}"))
        })?;
        let size = match &json {
            serde_json::Value::String(text) => text.len(),
            // Lists and maps come from bounded inputs; their own size is checked when written.
            _ => 0,
        };
        if !scope.spend(size) {
            return Err(self.too_large());
        }
        Ok(match json {
            serde_json::Value::String(text) => Rendered::Text(text),
            other => Rendered::Json(other),
        })
    }

    fn too_large(&self) -> RenderError {
        RenderError::new(self, "the output is larger than 8 MiB")
    }

    /// The part of the template as the user wrote it.
    pub(super) fn shown(&self, range: Range<usize>) -> Option<&str> {
        if !self.lone {
            return self.source.get(range).filter(|text| !text.trim().is_empty());
        }
        Some(&self.source)
    }
}

/// The source to compile and whether it is one lone expression.
pub(super) fn prepare(environment: &Environment<'_>, text: &str) -> (String, bool) {
    let text = &as_strings(text);
    let expression = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
    // `{{-` and `-}}` trim white space; there is none around a lone expression.
    let expression = expression.map(|text| {
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        text.strip_suffix(['-', '+']).unwrap_or(text).trim()
    });
    match expression {
        Some(expression)
            if !expression.is_empty()
                && environment.compile_expression_owned(expression).is_ok() =>
        {
            (format!("{LONE_HEAD}{expression}{LONE_TAIL}"), true)
        }
        _ => (text.to_owned(), false),
    }
}

/// A writer that stops at the request's output bound.
struct Bounded<'a> {
    scope: &'a Scope,
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.scope.spend(bytes.len()) {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
