//! The states of an order and the steps between them.

use std::fmt;

use serde::Serialize;

/// Where an order is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Shipped,
    Delivered,
    Cancelled,
}

impl Status {
    const ALL: [Self; 5] =
        [Self::Pending, Self::Confirmed, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// The status called `name`. Hand-written so that the refusal can be a sentence of ours.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// All names, for error messages.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// Where an order may go from here. What has left the house cannot be cancelled.
    pub(crate) fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Confirmed, Self::Cancelled],
            Self::Confirmed => &[Self::Shipped, Self::Cancelled],
            Self::Shipped => &[Self::Delivered],
            Self::Delivered | Self::Cancelled => &[],
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_statuses_map_both_ways() {
        for status in Status::ALL {
            assert_eq!(Status::named(&status.to_string()), Some(status));
        }
        assert_eq!(Status::named("Pending"), None);
        assert_eq!(Status::names(), "pending, confirmed, shipped, delivered, cancelled");
    }

    #[test]
    fn every_path_ends_delivered_or_cancelled() {
        for status in Status::ALL {
            assert_eq!(
                status.next().is_empty(),
                matches!(status, Status::Delivered | Status::Cancelled),
                "{status}"
            );
        }
        assert!(!Status::Shipped.next().contains(&Status::Cancelled));
    }
}
