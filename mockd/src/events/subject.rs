//! Subjects as NATS knows them: tokens between dots, `*` for one token, `>` for the rest.

/// Whether messages can be published to this subject: no empty tokens, no white space, no
/// wildcards.
pub fn is_subject(subject: &str) -> bool {
    let is_token = |token: &str| {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>';
        !token.is_empty() && !token.contains(bad)
    };
    subject.len() <= 1024 && subject.split('.').all(is_token)
}

/// Whether a subscription's pattern takes a subject.
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether a pattern has wildcards.
pub(super) fn is_wild(pattern: &str) -> bool {
    pattern.split('.').any(|token| token == "*" || token == ">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_whole_tokens() {
        for (pattern, subject) in [
            ("a.b", "a.b"),
            ("a.*", "a.b"),
            ("*.b.*", "a.b.c"),
            ("a.>", "a.b"),
            ("a.>", "a.b.c"),
            (">", "a"),
        ] {
            assert!(matches(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in [
            ("a.b", "a"),
            ("a", "a.b"),
            ("a.*", "a"),
            ("a.*", "a.b.c"),
            ("a.>", "a"),
            ("a.b", "a.B"),
            ("a.b*", "a.bc"),
        ] {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
    }

    #[test]
    fn subjects_to_publish_to_are_plain() {
        for good in ["a", "payments.completed", "_INBOX.x1", "a.b-c.d_e", "größe.x"] {
            assert!(is_subject(good), "{good}");
        }
        for bad in ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", "a\n", "a.\u{0}"] {
            assert!(!is_subject(bad), "{bad:?}");
        }
        assert!(is_wild("a.*.b") && is_wild(">") && !is_wild("a.b"));
    }
}
