//! JSON whose strings may be templates, with the constant parts already made.

use super::error::RenderError;
use super::scope::Scope;
use super::text::{Rendered, Template};
use minijinja::Environment;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A value, perhaps to be rendered.
#[derive(Debug)]
pub(crate) enum DataTemplate {
    /// Nothing in it has to be rendered.
    Constant(Value),
    /// A string that is a template.
    Template(Template),
    /// A list with something to render in it.
    List(Vec<DataTemplate>),
    /// A map with something to render in it, in file order.
    Map(Vec<(String, DataTemplate)>),
}

impl DataTemplate {
    pub(super) fn list(items: Vec<Self>) -> Self {
        if items.iter().all(|item| item.constant().is_some()) {
            return Self::Constant(items.into_iter().filter_map(Self::into_constant).collect());
        }
        Self::List(items)
    }

    pub(super) fn map(entries: Vec<(String, Self)>) -> Self {
        if entries.iter().all(|(_, value)| value.constant().is_some()) {
            let constants = entries.into_iter();
            let constants =
                constants.filter_map(|(key, value)| Some((key, value.into_constant()?)));
            return Self::Constant(Value::Object(constants.collect()));
        }
        Self::Map(entries)
    }

    /// The value, when nothing has to be rendered.
    pub(crate) fn constant(&self) -> Option<&Value> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Template(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    fn into_constant(self) -> Option<Value> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Template(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The keys that the value has if it is a map.
    pub(crate) fn keys(&self) -> Vec<String> {
        match self {
            Self::Constant(Value::Object(map)) => map.keys().cloned().collect(),
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Constant(_) | Self::Template(_) | Self::List(_) => Vec::new(),
        }
    }

    /// Renders every template in it.
    pub(crate) fn render(
        &self,
        environment: &Environment<'_>,
        scope: &Arc<Scope>,
    ) -> Result<Value, RenderError> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Template(template) => match template.render(environment, scope)? {
                Rendered::Text(text) => Value::String(text),
                Rendered::Json(value) => value,
            },
            Self::List(items) => {
                let items = items.iter().map(|item| item.render(environment, scope));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    map.insert(key.clone(), value.render(environment, scope)?);
                }
                Value::Object(map)
            }
        })
    }
}
