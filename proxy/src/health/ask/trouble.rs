//! Why the answer is not a good one.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;

/// What is wrong with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words.
    pub why: Cow<'static, str>,
    /// Whether somebody has to do something about it, rather than wait.
    pub tell: bool,
}

impl Trouble {
    /// Waiting may help.
    pub fn not_yet(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into(), tell: false }
    }

    /// Waiting will hardly help.
    pub fn told(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into(), tell: true }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::not_yet(error.to_string())
    }
}

impl From<hyper::Error> for Trouble {
    fn from(error: hyper::Error) -> Self {
        Self::not_yet(match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })
    }
}
