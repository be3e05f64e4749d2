//! Colours, or none: only on a terminal, and never against `NO_COLOR`.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

/// The colours in use: the terminal's own, so that they suit its background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// For headings.
    Bold,
    /// For what matters less.
    Dim,
    /// For what went well.
    Green,
    /// To tell apart, where a colour has no meaning.
    Yellow,
    /// See `Yellow`.
    Blue,
    /// See `Yellow`.
    Magenta,
    /// See `Yellow`.
    Cyan,
}

impl Colour {
    /// Those without a meaning of their own.
    const NEUTRAL: [Self; 4] = [Self::Cyan, Self::Yellow, Self::Magenta, Self::Blue];

    /// A colour that a name always gets, in this and every other run.
    pub(crate) fn of(name: &str) -> Self {
        // FNV-1a, 32 bits: std's hasher makes no promise from one release to the next.
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        // The low bits of FNV only depend on the low bits of its input; fold the high ones in.
        Self::NEUTRAL[usize::from(((hash >> 16) ^ hash) as u8) % Self::NEUTRAL.len()]
    }

    fn code(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        }
    }
}

impl Paint {
    /// Plain text.
    #[cfg(test)]
    pub(crate) const OFF: Self = Self(false);
    /// Coloured text.
    #[cfg(test)]
    pub(crate) const ON: Self = Self(true);

    /// What suits standard output.
    pub(crate) fn stdout() -> Self {
        Self::decide(io::stdout().is_terminal(), env::var_os("NO_COLOR").as_deref())
    }

    /// What suits standard error.
    pub(crate) fn stderr() -> Self {
        Self::decide(io::stderr().is_terminal(), env::var_os("NO_COLOR").as_deref())
    }

    fn decide(terminal: bool, no_color: Option<&OsStr>) -> Self {
        Self(terminal && no_color.is_none_or(OsStr::is_empty))
    }

    /// Whether there are colours.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    /// The text in a colour.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        match self.0 && !text.is_empty() {
            true => format!("\x1b[{}m{text}\x1b[0m", colour.code()),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(Paint::decide(true, None).is_on());
        assert!(Paint::decide(true, Some(OsStr::new(""))).is_on());
        assert!(!Paint::decide(true, Some(OsStr::new("1"))).is_on());
        assert!(!Paint::decide(false, None).is_on());
    }

    #[test]
    fn paint_wraps_text_or_leaves_it() {
        assert_eq!(Paint::ON.paint(Colour::Green, "x"), "\x1b[32mx\x1b[0m");
        assert_eq!(Paint::ON.paint(Colour::Green, ""), "");
        assert_eq!(Paint::OFF.paint(Colour::Green, "x"), "x");
    }

    #[test]
    fn names_keep_their_colour_and_share_them_out() {
        assert_eq!(Colour::of("users"), Colour::of("users"));
        let names = ["users", "orders", "payments", "web", "auth", "a", "b", "c"];
        for colour in Colour::NEUTRAL {
            assert!(names.iter().any(|name| Colour::of(name) == colour), "{colour:?}");
        }
    }
}
