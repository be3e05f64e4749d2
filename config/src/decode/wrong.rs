//! A mistake that does not know yet where it stands.

use crate::pattern::PatternError;
use crate::place::Place;
use crate::problem::Problem;

/// What is wrong with a value, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(self, place: Place, path: &str) -> Problem {
        Problem { hint: self.hint, ..Problem::error(place, path, self.message) }
    }
}

impl From<PatternError> for Wrong {
    fn from(error: PatternError) -> Self {
        Self { message: error.message, hint: error.hint }
    }
}
