//! A policy as the dump shows it: null where nothing is written, false where it is switched off.

use crate::model::Setting;
use serde_json::{Value as Json, json};

/// What is in force, as `show` has it.
pub(super) fn setting<T>(setting: &Setting<T>, show: impl FnOnce(&T) -> Json) -> Json {
    match setting {
        Setting::Inherited => Json::Null,
        Setting::Off => json!(false),
        Setting::On(value) => show(value),
    }
}
