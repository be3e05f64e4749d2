//! The file's way to write values, for whoever reads such values elsewhere.

use crate::decode::FromScalar as _;
use crate::place::Place;
use crate::problem::Problem;
use std::time::Duration;

/// `250ms`, `1.5s`, `5m` or `1h`, at most a year.
///
/// # Errors
/// With what is wrong and a hint, as the file's own report has them.
pub fn duration(text: &str) -> Result<Duration, Problem> {
    Duration::from_text(text).map_err(|wrong| wrong.at(Place::default(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_file() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        let wrong = duration("30").unwrap_err();
        assert_eq!(wrong.message, "the duration 30 has no unit");
        assert!(wrong.hint.unwrap().contains("30s"));
    }
}
