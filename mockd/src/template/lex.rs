//! Finds filters, tests and calls in a template, which the template engine itself would only check
//! while rendering.

/// A name used as a filter, a test or a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use<'a> {
    /// `… | name`.
    Filter(&'a str),
    /// `… is name` or `… is not name`.
    Test(&'a str),
    /// `name(…)`, not as a method.
    Call(&'a str),
}

/// Every use in the expressions and statements of a template; text and comments are skipped.
pub(super) fn uses(source: &str) -> Vec<Use<'_>> {
    let mut found = Vec::new();
    let mut left = source;
    while let Some(open) = left.find("{{").into_iter().chain(left.find("{%")).min() {
        let inside = &left[open + 2..];
        let end = scan(inside, &mut found);
        left = inside.get(end..).unwrap_or_default();
    }
    found
}

/// Reads up to the closing braces and returns where they end.
fn scan<'a>(text: &'a str, found: &mut Vec<Use<'a>>) -> usize {
    let bytes = text.as_bytes();
    let mut before = Before::Other;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at = skip_string(bytes, at, quote);
                before = Before::Other;
            }
            b'}' | b'%' if bytes.get(at + 1) == Some(&b'}') => return at + 2,
            b'|' => (before, at) = (Before::Bar, at + 1),
            b'.' => (before, at) = (Before::Dot, at + 1),
            byte if byte.is_ascii_whitespace() => at += 1,
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let length = word_length(&bytes[at..]);
                let word = &text[at..at + length];
                at += length;
                before = classify(word, before, &text[at..], found);
            }
            _ => (before, at) = (Before::Other, at + 1),
        }
    }
    at
}

/// What stood before a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Bar,
    Dot,
    Is,
    Other,
}

fn classify<'a>(word: &'a str, before: Before, after: &str, found: &mut Vec<Use<'a>>) -> Before {
    match (before, word) {
        (Before::Other, "is") => return Before::Is,
        (Before::Is, "not") => return Before::Is,
        (Before::Bar, _) => found.push(Use::Filter(word)),
        (Before::Is, _) => found.push(Use::Test(word)),
        (Before::Other, "if" | "elif" | "in" | "and" | "or" | "not" | "else") => {}
        (Before::Other, _) if after.starts_with('(') => found.push(Use::Call(word)),
        (Before::Other | Before::Dot, _) => {}
    }
    Before::Other
}

fn word_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

fn skip_string(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_told_apart() {
        let source = r#"a | b {{ x | upper | default("|no") }} {% if y is not defined and f(1) %}
            {{ m.call(z|trim) }}{{ "is it | so" }}"#;
        assert_eq!(
            uses(source),
            [
                Use::Filter("upper"),
                Use::Filter("default"),
                Use::Test("defined"),
                Use::Call("f"),
                Use::Filter("trim"),
            ]
        );
    }

    #[test]
    fn broken_templates_end_the_scan() {
        for source in ["{{", "{{ 'open", "{{ \"a\\", "{{ x |", "é{{é|ü}}"] {
            let found = uses(source);
            assert!(found.is_empty(), "{source}: {found:?}");
        }
    }
}
