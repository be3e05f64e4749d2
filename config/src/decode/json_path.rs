//! Paths into JSON: `$.items[*].secret`, a part of RFC 9535 that can be written to.

use super::scalar::{FromScalar, scalars};
use super::wrong::Wrong;
use crate::model::{JsonPath, JsonStep};

/// Deeper paths are a mistake, and following them would take as much stack.
const MOST_STEPS: usize = 32;

const FORM: &str = "write $.name, $[\"any name\"], $[0] or $[*], one after the other";

impl FromScalar for JsonPath {
    const WHAT: &'static str = "a JSON path such as $.items[*].id";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let Some(mut left) = text.strip_prefix('$') else {
            let name = text.trim_start_matches('.');
            let hint = match name {
                "" => FORM.to_owned(),
                _ if name.starts_with('[') => format!("write \"${name}\""),
                _ => format!("write \"$.{name}\""),
            };
            return Err(Wrong::new(format!("the path {text:?} does not begin with $")).hint(hint));
        };
        let mut steps = Vec::new();
        while !left.is_empty() {
            let (step, after) = first_step(text, left)?;
            steps.push(step);
            left = after;
        }
        match steps.len() {
            0..=MOST_STEPS => Ok(Self { steps }),
            count => Err(Wrong::new(format!("the path has {count} steps"))
                .hint(format!("at most {MOST_STEPS} are followed"))),
        }
    }
}

scalars!(JsonPath);

/// The first step of what is left, and what follows it.
fn first_step<'t>(text: &str, left: &'t str) -> Result<(JsonStep, &'t str), Wrong> {
    if let Some(after) = left.strip_prefix("..") {
        let name = after.trim_start_matches('.');
        return Err(Wrong::new(format!("\"..\" in {text:?} searches at every depth"))
            .hint(format!("name each step on the way to {name:?}, such as $.items[*].{name}")));
    }
    if let Some(after) = left.strip_prefix('.') {
        let end = after.find(['.', '[']).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        return match name {
            "*" => Ok((JsonStep::Every, after)),
            _ if !name.is_empty() && name.chars().all(is_bare) => {
                Ok((JsonStep::Key(name.to_owned()), after))
            }
            "" => Err(Wrong::new(format!("a name is missing behind \".\" in {text:?}")).hint(FORM)),
            _ => Err(Wrong::new(format!("{name:?} cannot stand bare in {text:?}"))
                .hint(format!("write [{name:?}] instead of .{name}"))),
        };
    }
    let Some(inside) = left.strip_prefix('[') else {
        return Err(Wrong::new(format!("{left:?} in {text:?} is no step of a path")).hint(FORM));
    };
    if let Some(quote) = inside.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        return quoted(text, &inside[1..], quote);
    }
    let Some((inside, after)) = inside.split_once(']') else {
        return Err(Wrong::new(format!("{text:?} has an open bracket")).hint("close it with ]"));
    };
    let step = match inside {
        "*" => JsonStep::Every,
        _ if inside.starts_with('?') => {
            return Err(Wrong::new(format!("{text:?} holds a condition"))
                .hint("conditions are not known here; [*] stands for every element"));
        }
        _ if inside.starts_with('-') => {
            return Err(Wrong::new(format!("{text:?} counts from the end"))
                .hint("elements are counted from the start, from [0]"));
        }
        _ if inside.contains([':', ',']) => {
            return Err(Wrong::new(format!("{text:?} names several elements at once"))
                .hint("write one path for each, or [*] for every element"));
        }
        _ if inside.bytes().all(|byte| byte.is_ascii_digit()) && !inside.is_empty() => {
            JsonStep::Index(inside.parse().map_err(|_| {
                Wrong::new(format!("no list has an element {inside}"))
                    .hint("write a smaller number")
            })?)
        }
        _ => {
            return Err(Wrong::new(format!("[{inside}] in {text:?} is no number"))
                .hint(format!("for a name write [{inside:?}]")));
        }
    };
    Ok((step, after))
}

/// A name in quotes; a backslash takes the character behind it as it is.
fn quoted<'t>(text: &str, inside: &'t str, quote: char) -> Result<(JsonStep, &'t str), Wrong> {
    let mut name = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, character)| character)),
            _ if character == quote => {
                let after = inside[at + 1..].strip_prefix(']').ok_or_else(|| {
                    Wrong::new(format!("{text:?} has an open bracket")).hint("close it with ]")
                })?;
                return Ok((JsonStep::Key(name), after));
            }
            _ => name.push(character),
        }
    }
    Err(Wrong::new(format!("{text:?} has an open quote")).hint(format!("close it with {quote}]")))
}

/// Whether a character may stand in a name without quotes.
fn is_bare(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(character, '"' | '\'' | ']' | '*' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    fn read(text: &str) -> Result<JsonPath, Wrong> {
        JsonPath::from_scalar(&Scalar::plain(text.to_owned()))
    }

    fn key(name: &str) -> JsonStep {
        JsonStep::Key(name.to_owned())
    }

    #[test]
    fn paths_are_read_step_by_step() {
        for (text, steps) in [
            ("$", vec![]),
            ("$.debug", vec![key("debug")]),
            ("$.items[*].secret", vec![key("items"), JsonStep::Every, key("secret")]),
            ("$[0].*", vec![JsonStep::Index(0), JsonStep::Every]),
            ("$[\"a.b\"]['c\\'d']", vec![key("a.b"), key("c'd")]),
            ("$.größe.x-y_z", vec![key("größe"), key("x-y_z")]),
            ("$['']", vec![key("")]),
        ] {
            assert_eq!(read(text), Ok(JsonPath { steps }), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_as_the_same_path() {
        for text in ["$", "$.a[3][*].b", "$[\"a b\"][\"\"]", "$[\"q\\\"\\\\\"].x", "$[\"*\"]"] {
            let path = read(text).unwrap();
            assert_eq!(path.to_string(), text);
            assert_eq!(read(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, message, hint) in [
            ("secret", "does not begin with $", "\"$.secret\""),
            (".a.b", "does not begin with $", "\"$.a.b\""),
            ("[0]", "does not begin with $", "\"$[0]\""),
            ("$..secret", "every depth", "$.items[*].secret"),
            ("$.", "a name is missing", "$.name"),
            ("$.a b", "cannot stand bare", "[\"a b\"]"),
            ("$a", "is no step", "$.name"),
            ("$.a[0", "open bracket", "]"),
            ("$['a", "open quote", "']"),
            ("$['a'x", "open bracket", "]"),
            ("$[-1]", "from the end", "[0]"),
            ("$[1:2]", "several elements", "[*]"),
            ("$[?(@.a)]", "a condition", "[*]"),
            ("$[name]", "is no number", "[\"name\"]"),
            ("$[99999999999999999999999]", "no list", "smaller"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.message.contains(message), "{text}: {}", wrong.message);
            assert!(wrong.hint.as_ref().unwrap().contains(hint), "{text}: {:?}", wrong.hint);
        }
        assert!(read(&format!("${}", ".a".repeat(32))).is_ok());
        assert!(read(&format!("${}", ".a".repeat(33))).is_err());
    }
}
