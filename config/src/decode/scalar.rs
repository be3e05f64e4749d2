//! Values written as one scalar: the trait, and the plain kinds of them.

use super::wrong::Wrong;
use crate::yaml::{Kind, Scalar};
use serde_json::{Number, Value as Json, json};

/// A type that one scalar can hold.
///
/// Implement [`FromScalar::from_text`] for what is written as text; types that read numbers or
/// booleans override the others.
pub(crate) trait FromScalar: Sized {
    /// What is expected, after "expected".
    const WHAT: &'static str;

    /// Reads text, quoted or not.
    fn from_text(text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("expected {}, found {text:?}", Self::WHAT)))
    }

    /// Reads a number, with the text that it was written as.
    fn from_number(_: &Number, text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("expected {}, found the number {text}", Self::WHAT)))
    }

    /// Reads `true` or `false`.
    fn from_bool(value: bool) -> Result<Self, Wrong> {
        Err(Wrong::new(format!("expected {}, found {value}", Self::WHAT)))
    }

    /// Reads any scalar but null.
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match &scalar.kind {
            Kind::Null | Kind::Reported => {
                Err(Wrong::new(format!("expected {}, found nothing", Self::WHAT)))
            }
            Kind::Bool(value) => Self::from_bool(*value),
            Kind::Number(number) => Self::from_number(number, &scalar.text),
            Kind::Text => Self::from_text(&scalar.text),
        }
    }

    /// The JSON Schema of the value itself; variables are allowed for besides.
    fn json_schema() -> Json {
        json!({ "type": "string" })
    }
}

/// Implements `Decode` for types that implement [`FromScalar`].
macro_rules! scalars {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::decode::Decode for $name {
            fn decode(
                node: &$crate::yaml::Node,
                report: &mut $crate::problem::Report,
            ) -> Option<Self> {
                use $crate::decode::FromScalar as _;
                let $crate::yaml::Value::Scalar(scalar) = &node.value else {
                    let found = node.describe();
                    report.push(node.error(format!("expected {}, found {found}", Self::WHAT)));
                    return None;
                };
                match Self::from_scalar(scalar) {
                    Ok(value) => Some(value),
                    Err(wrong) => {
                        report.push(wrong.at(node.spot.place, &node.spot.path));
                        None
                    }
                }
            }

            fn schema(_: &mut $crate::decode::Defs) -> serde_json::Value {
                use $crate::decode::FromScalar as _;
                let schema = Self::json_schema();
                if schema["type"] == "string" && schema.get("pattern").is_none() {
                    return schema;
                }
                serde_json::json!({
                    "anyOf": [schema, { "type": "string", "pattern": "\\$\\{[A-Za-z_]" }],
                })
            }
        }
    )+};
}
pub(crate) use scalars;

/// Text that must be text: a number or boolean in its place is probably a missing quote.
impl FromScalar for String {
    const WHAT: &'static str = "text";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match &scalar.kind {
            Kind::Text if !scalar.plain && holds_variable(&scalar.text) => Err(Wrong::new(
                format!("{:?} stands in quotes, so it is not filled in", scalar.text),
            )
            .hint("remove the quotes; inside { } write the map over several lines instead")),
            Kind::Text => Ok(scalar.text.clone()),
            Kind::Null | Kind::Reported => Err(Wrong::new("expected text, found nothing")),
            Kind::Bool(_) | Kind::Number(_) => {
                Err(Wrong::new(format!("expected text, found {}", scalar.describe()))
                    .hint(format!("put it in quotes: \"{}\"", scalar.text)))
            }
        }
    }
}

/// `${NAME`: what somebody expects to be filled in.
fn holds_variable(text: &str) -> bool {
    text.split("${").skip(1).any(|after| {
        after.contains('}') && after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    })
}

/// Text without spaces and not empty: names, files, subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) String);

impl FromScalar for Word {
    const WHAT: &'static str = "text";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = String::from_scalar(scalar)?;
        if text.trim().is_empty() {
            return Err(Wrong::new("expected text, found an empty one"));
        }
        Ok(Self(text))
    }
}

/// Any scalar, as it was written: environment variables, header values, templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnyText(pub(crate) String);

impl FromScalar for AnyText {
    const WHAT: &'static str = "text";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match scalar.kind {
            Kind::Null => {
                Err(Wrong::new("expected text, found nothing").hint("write \"\" for empty text"))
            }
            _ => Ok(Self(scalar.text.clone())),
        }
    }

    fn json_schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl FromScalar for bool {
    const WHAT: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong::new(format!("expected true or false, found {text:?}"));
        Err(match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => wrong.hint("in YAML 1.2 this is text; write true"),
            "no" | "off" | "n" | "false" => wrong.hint("in YAML 1.2 this is text; write false"),
            _ => wrong,
        })
    }

    fn from_bool(value: bool) -> Result<Self, Wrong> {
        Ok(value)
    }

    fn json_schema() -> Json {
        json!({ "type": "boolean" })
    }
}

macro_rules! integers {
    ($($name:ty: $what:literal),+) => {$(
        impl FromScalar for $name {
            const WHAT: &'static str = $what;

            fn from_text(text: &str) -> Result<Self, Wrong> {
                let wrong = Wrong::new(format!("expected {}, found {text:?}", Self::WHAT));
                Err(match text.parse::<$name>() {
                    Ok(_) => wrong.hint("remove the quotes"),
                    Err(_) => wrong,
                })
            }

            fn from_number(number: &Number, text: &str) -> Result<Self, Wrong> {
                let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
                whole.and_then(|whole| <$name>::try_from(whole).ok()).ok_or_else(|| {
                    Wrong::new(format!("expected {}, found the number {text}", Self::WHAT))
                })
            }

            fn json_schema() -> Json {
                json!({ "type": "integer", "minimum": <$name>::MIN, "maximum": <$name>::MAX })
            }
        }
    )+};
}
integers!(u8: "a whole number from 0 to 255", u16: "a whole number from 0 to 65535", u32: "a whole number from 0", u64: "a whole number from 0", i32: "a whole number");

scalars!(String, Word, AnyText, bool, u8, u16, u32, u64, i32);
