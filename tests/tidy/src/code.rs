//! Rust text with everything blanked that is not code: comments, literals, and test items.
//!
//! A scanner, not a parser: enough to tell `.unwrap()` in code from the same text in a string.
//! Blanked characters become spaces and lines stay lines, so positions still hold.

/// The code without comments and without what stands inside literals.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// The code without items under `#[cfg(test)]`, given code from [`code_only`].
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut left = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        left.push_str(&rest[..start]);
        let item = &rest[start..];
        let end = MARK.len() + item_end(&item[MARK.len()..]);
        left.extend(item[..end].chars().filter(|&c| c == '\n'));
        rest = &item[end..];
    }
    left + rest
}

/// Where the first item of `code` ends: its closing brace, or its semicolon if that comes first.
fn item_end(code: &str) -> usize {
    let mut depth = 0usize;
    for (at, char) in code.char_indices() {
        match char {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(char, ';' | '}') {
            return at + 1;
        }
    }
    code.len()
}

/// Where the literal or comment that starts at `at` ends; `at` itself when none starts there.
fn literal_or_comment(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let within_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next == Some('/') => line_end(chars, at),
        '/' if next == Some('*') => block_end(chars, at),
        '"' => string_end(chars, at + 1),
        '\'' => char_end(chars, at),
        'r' if !within_word => raw_string_end(chars, at + 1).unwrap_or(at),
        'b' | 'c' if !within_word && next == Some('r') => {
            raw_string_end(chars, at + 2).unwrap_or(at)
        }
        _ => at,
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length)
}

fn block_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    at
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// A quote starts a character if one closes right behind it, else a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let close = chars[at + 3..].iter().take(10).position(|&c| c == '\'');
            close.map_or(at, |length| at + length + 4)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// `at` is behind the `r`: any number of `#`, a quote, and the same backwards.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    let open = at + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |&quote: &usize| {
        let tail = &chars[quote + 1..];
        chars[quote] == '"' && tail.len() >= hashes && tail[..hashes].iter().all(|&c| c == '#')
    };
    Some((open + 1..chars.len()).find(closes).map_or(chars.len(), |quote| quote + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        code_only(text).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn comments_are_blanked_and_lines_stay() {
        let code = code_only("a // b\n/* c /* d */ e\n*/ f");
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "f"]);
        assert_eq!(code.lines().count(), 3);
    }

    #[test]
    fn literals_are_blanked() {
        assert_eq!(words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(words(r###"a r#"b " c"# br"d" cr#"e"# f"###), ["a", "f"]);
        assert_eq!(words(r"a '\'' '\u{1F600}' 'b' '\\' c"), ["a", "c"]);
        assert_eq!(words(r##"a "open"##), ["a"]);
    }

    #[test]
    fn lifetimes_raw_names_and_words_ending_in_r_are_code() {
        assert_eq!(words("fn a<'b>(c: &'b str)"), ["fn", "a<'b>(c:", "&'b", "str)"]);
        assert_eq!(words("r#type for \"x\" y"), ["r#type", "for", "y"]);
    }

    #[test]
    fn test_items_are_left_out() {
        let code = without_tests(
            "a();\n#[cfg(test)]\nmod tests {\n fn x() { b(); }\n}\nc();\n#[cfg(test)]\nmod t;\nd();",
        );
        assert!(code.contains("a()") && code.contains("c()") && code.contains("d()"));
        assert!(!code.contains("b()") && !code.contains("mod t"));
        assert_eq!(code.lines().count(), 9);
    }

    #[test]
    fn attributes_between_the_mark_and_its_item_belong_to_the_item() {
        let code = "#[cfg(test)]\n#[path = x]\nfn a(b: [u8; 2]) { c() }\nd();";
        assert_eq!(without_tests(code).trim(), "d();");
        assert_eq!(without_tests("#[cfg(test)] mod open {"), "");
    }
}
