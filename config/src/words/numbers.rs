//! Numbers as people write them in the file.

use crate::dump::time;
use std::time::Duration;

/// `20%`, `0.5%`.
pub(super) fn percent(share: f64) -> String {
    // What is left of binary fractions is cut off.
    format!("{}%", (share * 100_000.0).round() / 1000.0)
}

/// `64KiB`, where that leaves no fraction.
pub(super) fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = KIB * KIB;
    match bytes {
        0 => "0B".to_owned(),
        _ if bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ if bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        _ => format!("{bytes}B"),
    }
}

/// `25ms..250ms`.
pub(super) fn range((least, most): (Duration, Duration)) -> String {
    format!("{}..{}", time(least), time(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_file() {
        for (share, text) in [(0.2, "20%"), (0.005, "0.5%"), (1.0, "100%"), (0.29, "29%")] {
            assert_eq!(percent(share), text);
        }
        for (size, text) in [(0, "0B"), (65_536, "64KiB"), (1 << 20, "1MiB"), (1500, "1500B")] {
            assert_eq!(bytes(size), text);
        }
    }
}
