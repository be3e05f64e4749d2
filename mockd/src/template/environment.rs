//! The template environment: what every template of a configuration shares.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

/// Instructions that one template may execute; far more than a body needs, far less than a second.
const FUEL: u64 = 500_000;

/// An environment without templates.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_reload(false);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_formatter(format_value);
    environment
}

/// Lists, maps and none inside text are written as JSON, as a reader of a mock's answer expects.
fn format_value(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable | ValueKind::None => {
            let text = serde_json::to_string(value).map_err(|error| {
                Error::new(ErrorKind::BadSerialization, "cannot be written as JSON")
                    .with_source(error)
            })?;
            out.write_str(&text)?;
        }
        _ => write!(out, "{value}")?,
    }
    Ok(())
}
