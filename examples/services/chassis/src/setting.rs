//! Settings from the environment, each with its default beside it and an error that names the variable.

use std::{env, str::FromStr};

/// A variable that cannot be used; the message says how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is `{value}`: {hint}")]
pub struct SettingError {
    name: &'static str,
    value: String,
    hint: &'static str,
}

impl SettingError {
    /// `name` holds `value`, and `hint` says what it should hold.
    pub fn new(name: &'static str, value: impl Into<String>, hint: &'static str) -> Self {
        Self { name, value: value.into(), hint }
    }
}

/// The variable `name`, or `default` when it is unset or empty.
pub fn setting<T: FromStr>(
    name: &'static str,
    default: T,
    hint: &'static str,
) -> Result<T, SettingError> {
    parse(name, env::var_os(name).map(|value| value.to_string_lossy().into_owned()), default, hint)
}

fn parse<T: FromStr>(
    name: &'static str,
    value: Option<String>,
    default: T,
    hint: &'static str,
) -> Result<T, SettingError> {
    match value.filter(|value| !value.is_empty()) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| SettingError::new(name, value, hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_its_value_its_default_or_an_error_that_names_it() {
        let port = |value: Option<&str>| {
            parse::<u16>("PORT", value.map(str::to_owned), 8000, "give a port")
        };
        assert_eq!(port(None), Ok(8000));
        assert_eq!(port(Some("")), Ok(8000));
        assert_eq!(port(Some("0")), Ok(0));
        assert_eq!(port(Some("70000")).unwrap_err().to_string(), "PORT is `70000`: give a port");
    }

    #[test]
    fn an_unset_variable_has_its_default() {
        assert_eq!(setting("A_VARIABLE_THAT_NOBODY_SETS", 7_u8, "give a number"), Ok(7));
    }
}
