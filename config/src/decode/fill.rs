//! Header values with places to be filled in: `{{ request.path.id }}`.
//!
//! Fewer names than templates of mocks know, and no expressions: these values are made for every
//! request that passes.

use super::scalar::{FromScalar, scalars};
use super::wrong::Wrong;
use crate::model::{Value, ValuePart};
use crate::yaml::{Kind, Scalar};
use http::{HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

const KNOWN: &str = "known names: request.path.NAME, request.query.NAME, request.headers.NAME, \
                     request.id, trace.id, client.ip";

impl FromScalar for Value {
    const WHAT: &'static str = "a header's value";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        if matches!(scalar.kind, Kind::Null | Kind::Reported) {
            let wrong = Wrong::new(format!("expected {}, found nothing", Self::WHAT));
            return Err(wrong.hint("write \"\" for an empty value"));
        }
        Self::from_text(&scalar.text)
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let mut parts = Vec::new();
        let mut left = text;
        while let Some((before, after)) = left.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(
                    Wrong::new(format!("{text:?} has an open \"{{{{\"")).hint("close it with }}")
                );
            };
            push_text(&mut parts, before)?;
            parts.push(place(name.trim())?);
            left = after;
        }
        push_text(&mut parts, left)?;
        Ok(Self { parts })
    }

    fn json_schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

scalars!(Value);

fn push_text(parts: &mut Vec<ValuePart>, text: &str) -> Result<(), Wrong> {
    if HeaderValue::from_str(text).is_err() {
        return Err(Wrong::new(format!("{text:?} holds a line break or control character"))
            .hint("a header's value is one line of text"));
    }
    if !text.is_empty() {
        parts.push(ValuePart::Text(text.to_owned()));
    }
    Ok(())
}

/// What stands between the braces.
fn place(name: &str) -> Result<ValuePart, Wrong> {
    let unknown = || Wrong::new(format!("unknown name {name:?} between {{{{ and }}}}")).hint(KNOWN);
    let word = |text: &str| {
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '{' | '}' | '|' | '(' | '[' | '"');
        (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
    };
    if let Some(name) = name.strip_prefix("request.path.") {
        return word(name).map(ValuePart::Path).ok_or_else(unknown);
    }
    if let Some(name) = name.strip_prefix("request.query.") {
        return word(name).map(ValuePart::Query).ok_or_else(unknown);
    }
    if let Some(name) = name.strip_prefix("request.headers.") {
        // As in templates of mocks, `_` may stand for `-`.
        let header = HeaderName::try_from(name.replace('_', "-"));
        return header.map(ValuePart::Header).map_err(|_| unknown());
    }
    match name {
        "request.id" => Ok(ValuePart::RequestId),
        "trace.id" => Ok(ValuePart::TraceId),
        "client.ip" => Ok(ValuePart::ClientIp),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ValuePart>, Wrong> {
        Value::from_scalar(&Scalar::plain(text.to_owned())).map(|value| value.parts)
    }

    fn text(text: &str) -> ValuePart {
        ValuePart::Text(text.to_owned())
    }

    #[test]
    fn every_place_is_known_by_its_name() {
        let parts =
            read("u={{request.path.id}};{{ request.query.page }}{{ request.headers.x_tenant }}");
        assert_eq!(
            parts,
            Ok(vec![
                text("u="),
                ValuePart::Path("id".into()),
                text(";"),
                ValuePart::Query("page".into()),
                ValuePart::Header(HeaderName::from_static("x-tenant")),
            ])
        );
        let parts = read("{{ request.id }} {{ trace.id }} {{ client.ip }}");
        let ids = [ValuePart::RequestId, ValuePart::TraceId, ValuePart::ClientIp];
        let [id, trace, client] = ids;
        assert_eq!(parts, Ok(vec![id, text(" "), trace, text(" "), client]));
        assert_eq!(read("dev {x} }}"), Ok(vec![text("dev {x} }}")]));
        assert_eq!(read("5"), Ok(vec![text("5")]));
        assert_eq!(Value::from_text(""), Ok(Value { parts: vec![] }));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        for wrong in [
            "{{ request.body.id }}",
            "{{ vars.x }}",
            "{{ }}",
            "{{ request.path. }}",
            "{{ request.headers.a b }}",
            "{{ request.query.a | upper }}",
        ] {
            let wrong = read(wrong).unwrap_err();
            assert!(wrong.message.contains("unknown name"), "{}", wrong.message);
            assert!(wrong.hint.unwrap().contains("request.query.NAME"));
        }
        assert!(read("{{ request.id").unwrap_err().message.contains("open"));
    }

    #[test]
    fn a_value_is_one_line() {
        assert!(Value::from_text("a\nb").is_err());
        assert!(Value::from_text("{{ request.id }}\r").is_err());
        assert!(Value::from_text("grüße\tdich").is_ok());
    }
}
