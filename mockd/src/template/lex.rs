//! Reads the words of a template's expressions: for names that the template engine itself would
//! only check while rendering, and for names that stand for text unless they are called.

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

/// A word inside an expression or statement.
struct Word<'a> {
    text: &'a str,
    start: usize,
    before: Before,
    /// The first character after it that is not white space; 0 at the end.
    after: u8,
}

/// What stands before a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Bar,
    Dot,
    Is,
    Other,
}

impl<'a> Word<'a> {
    fn into_use(self) -> Option<Use<'a>> {
        let keyword = ["if", "elif", "in", "and", "or", "not", "else"].contains(&self.text);
        match self.before {
            Before::Bar => Some(Use::Filter(self.text)),
            Before::Is => Some(Use::Test(self.text)),
            Before::Other if self.after == b'(' && !keyword => Some(Use::Call(self.text)),
            Before::Other | Before::Dot => None,
        }
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Every use in the expressions and statements of a template; text and comments are skipped.
pub(super) fn uses(source: &str) -> Vec<Use<'_>> {
    words(source).into_iter().filter_map(Word::into_use).collect()
}

/// The template with `uuid` and `now` called and `request.path` read as text, where they are
/// mentioned for their own sake: so they are strings, which can be compared, cut and measured.
pub(super) fn as_strings(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut copied = 0;
    let mut previous = (0, "");
    for word in words(source) {
        let alone = !matches!(word.after, b'(' | b'.')
            // `f(now=1)` names an argument; `now == 1` does not.
            && (word.after != b'=' || source[word.end()..].trim_start().starts_with("=="));
        let suffix = match (word.before, word.text) {
            (Before::Other, "uuid" | "now") if alone => "()",
            (Before::Dot, "path")
                if alone && word.after != b'[' && previous == (word.start - 1, "request") =>
            {
                "_text"
            }
            _ => "",
        };
        if !suffix.is_empty() {
            out.push_str(&source[copied..word.end()]);
            out.push_str(suffix);
            copied = word.end();
        }
        previous = if word.before == Before::Other { (word.end(), word.text) } else { (0, "") };
    }
    out.push_str(&source[copied..]);
    out
}

fn words(source: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = next_open(&source[at..]) {
        at = scan(source, at + open + 2, &mut found).min(source.len());
    }
    found
}

fn next_open(text: &str) -> Option<usize> {
    text.find("{{").into_iter().chain(text.find("{%")).min()
}

/// Reads up to the closing braces and returns where they end.
fn scan<'a>(source: &'a str, start: usize, found: &mut Vec<Word<'a>>) -> usize {
    let bytes = source.as_bytes();
    let mut before = Before::Other;
    let mut at = start;
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
                let text = &source[at..at + word_length(&bytes[at..])];
                let word =
                    Word { text, start: at, before, after: next_byte(&bytes[at + text.len()..]) };
                at = word.end();
                before = match (before, text) {
                    (Before::Other, "is") | (Before::Is, "not") => Before::Is,
                    _ => Before::Other,
                };
                if before != Before::Is {
                    found.push(word);
                }
            }
            _ => (before, at) = (Before::Other, at + 1),
        }
    }
    at
}

fn next_byte(bytes: &[u8]) -> u8 {
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace()).unwrap_or(0)
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
    fn names_for_text_are_made_text() {
        for (source, text) in [
            ("uuid now {{ uuid }}", "uuid now {{ uuid() }}"),
            ("{{ uuid() ~ now ( 'x' ) }}", "{{ uuid() ~ now ( 'x' ) }}"),
            ("{{ now.unix }}{{ x.now }}{{ 'now' }}", "{{ now.unix }}{{ x.now }}{{ 'now' }}"),
            ("{{ request.path == now }}", "{{ request.path_text == now() }}"),
            ("{{ request.path.id ~ x.path }}", "{{ request.path.id ~ x.path }}"),
            ("{{ request.path['id'] }}", "{{ request.path['id'] }}"),
            ("{% if now == 1 %}{{ f(now=2) }}", "{% if now() == 1 %}{{ f(now=2) }}"),
            ("{{ uuid[:8] }}", "{{ uuid()[:8] }}"),
        ] {
            assert_eq!(as_strings(source), text);
        }
    }

    #[test]
    fn broken_templates_end_the_scan() {
        for source in ["{{", "{{ 'open", "{{ \"a\\", "{{ x |", "é{{é|ü}}"] {
            let found = uses(source);
            assert!(found.is_empty(), "{source}: {found:?}");
            assert_eq!(as_strings(source), source);
        }
    }
}
