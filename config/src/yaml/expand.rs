//! `${VAR}` and `${VAR:-default}` in plain scalars; `$${` stands for `${`.
//!
//! As in a shell, `:-` also replaces a variable that is set but empty.

use crate::decode::Wrong;

/// Where `${VAR}` finds its value.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text with its variables filled in.
pub(super) fn expand(text: &str, env: Env<'_>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut left = text;
    while let Some((before, after)) = left.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            left = after;
            continue;
        }
        let Some((inside, after)) = after.split_once('}') else {
            return Err(Wrong::new("\"${\" is not closed").hint(
                "write ${NAME} or ${NAME:-default}; $${ stands for the two characters themselves",
            ));
        };
        out.push_str(before);
        out.push_str(&value(inside, env)?);
        left = after;
    }
    out.push_str(left);
    Ok(out)
}

fn value(inside: &str, env: Env<'_>) -> Result<String, Wrong> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let well_named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !well_named {
        return Err(Wrong::new(format!("{name:?} is not the name of a variable")).hint(
            "write ${NAME} or ${NAME:-default}; $${ stands for the two characters themselves",
        ));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Wrong::new(format!("the default of ${{{name}}} holds another variable"))
            .hint("a default is plain text"));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Wrong::new(format!("the variable {name} is not set")).hint(format!(
            "set it, or give a default: ${{{name}:-…}}; in quotes, or with $${{, it stays as it is"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "PORT" => Some("8001".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, &env).map_err(|wrong| wrong.message)
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (text, result) in [
            ("http://localhost:${PORT}/x", "http://localhost:8001/x"),
            ("${PORT}${PORT}", "80018001"),
            ("${NOPE:-a:b}", "a:b"),
            ("${EMPTY:-full}", "full"),
            ("${EMPTY}", ""),
            ("${NOPE:-}", ""),
            ("$${PORT} costs $5", "${PORT} costs $5"),
            ("$$$${PORT}", "$$${PORT}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(result), "{text}");
        }
    }

    #[test]
    fn mistakes_name_the_variable() {
        for (text, part) in [
            ("${NOPE}", "variable NOPE is not set"),
            ("${1X}", "\"1X\" is not the name"),
            ("${}", "\"\" is not the name"),
            ("${PORT", "not closed"),
            ("${A:-${PORT}}", "default of ${A} holds another"),
        ] {
            let message = expanded(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
