//! What counts as an e-mail address.
//!
//! The addresses people have, not all that RFC 5321 allows: no quoted local parts, no address literals, and
//! a domain with a dot. Stored in lower case, so that one mailbox cannot register twice.

use std::fmt;

use serde::Serialize;

/// The longest address that SMTP can carry, and its longest local part, in bytes.
const LONGEST: usize = 254;
const LONGEST_LOCAL: usize = 64;
const LONGEST_LABEL: usize = 63;

/// A valid address in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

impl Email {
    /// `text` as an address, or what is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err("it is longer than 254 bytes");
        }
        let (local, domain) = text.split_once('@').ok_or("it has no `@`")?;
        if domain.contains('@') {
            return Err("it has more than one `@`");
        }
        if local.is_empty() || local.len() > LONGEST_LOCAL {
            return Err("the part before the `@` needs 1 to 64 characters");
        }
        if !local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom)) {
            return Err(
                "the part before the `@` has a misplaced dot or a character that is not allowed",
            );
        }
        if !domain.contains('.') {
            return Err("the domain has no dot");
        }
        if !domain.split('.').all(is_label) {
            return Err("the domain is not a host name");
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_people_have_are_valid_and_lower_case() {
        for (text, stored) in [
            ("ada@example.com", "ada@example.com"),
            (" Ada.Lovelace+shop@Mail.Example.co.uk ", "ada.lovelace+shop@mail.example.co.uk"),
            ("o'brien_1@xn--bcher-kva.example", "o'brien_1@xn--bcher-kva.example"),
        ] {
            assert_eq!(Email::new(text).unwrap().to_string(), stored);
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", "abc.".repeat(80));
        let long_label = format!("a@{}.com", "b".repeat(64));
        for (text, reason) in [
            ("", "no `@`"),
            ("ada", "no `@`"),
            ("ada@b@example.com", "more than one"),
            ("@example.com", "1 to 64"),
            (&long_local, "1 to 64"),
            ("ada..l@example.com", "misplaced dot"),
            (".ada@example.com", "misplaced dot"),
            ("ada l@example.com", "not allowed"),
            ("ada@localhost", "no dot"),
            ("ada@.com", "not a host name"),
            ("ada@-a.com", "not a host name"),
            ("ada@a-.com", "not a host name"),
            ("ada@exämple.com", "not a host name"),
            (&long_label, "not a host name"),
            (&long, "longer than 254"),
        ] {
            let said = Email::new(text).unwrap_err();
            assert!(said.contains(reason), "`{text}`: {said}");
        }
    }
}
