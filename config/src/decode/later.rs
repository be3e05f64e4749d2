//! Keys of capabilities that are not built yet: refused by name, never ignored, never "unknown".

use super::wrong::Wrong;

/// What a later key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    Faults,
    Observability,
    MockDepth,
}

/// A key and the capability that will bring it.
pub(crate) type Later = (&'static str, Capability);

impl Capability {
    fn describe(self) -> &'static str {
        match self {
            Self::Faults => "faults and scenarios",
            Self::Observability => "observability",
            Self::MockDepth => "deeper mocks",
        }
    }

    /// The refusal of a key or value, written as it stands in the file.
    pub(crate) fn refuse(self, what: &str) -> Wrong {
        Wrong::new(format!("{what:?} is not supported yet"))
            .hint(format!("planned with {}; remove it until then", self.describe()))
    }
}
