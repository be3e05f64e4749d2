//! A policy, or a word that says there is none.

use crate::decode::{Decode, Defs, FromScalar, Wrong, scalars};
use crate::problem::Report;
use crate::yaml::{Kind, Node, Value};
use serde_json::{Value as Json, json};

/// A policy, or `false` or `none`: none here, whatever stands above.
#[derive(Clone, Debug)]
pub(crate) enum OrOff<T> {
    Off,
    On(T),
}

impl<T: Decode> Decode for OrOff<T> {
    fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar)
                if matches!(scalar.kind, Kind::Bool(false))
                    || matches!(scalar.kind, Kind::Text) && scalar.text == "none" =>
            {
                Some(Self::Off)
            }
            _ => T::decode(node, report).map(Self::On),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [{ "enum": [false, "none"] }, T::schema(defs)] })
    }
}

/// `true`: the policy with its defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enabled;

impl FromScalar for Enabled {
    const WHAT: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        bool::from_text(text).and_then(Self::from_bool)
    }

    fn from_bool(value: bool) -> Result<Self, Wrong> {
        value.then_some(Self).ok_or_else(|| Wrong::new("expected true, found false"))
    }

    fn json_schema() -> Json {
        json!({ "const": true })
    }
}
scalars!(Enabled);
