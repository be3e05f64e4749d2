//! `stitch version`.

use crate::cli::{Format, VersionArgs};
use crate::exit::{ExitCode, Failure};
use crate::output;
use serde_json::json;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(args: &VersionArgs) -> Result<ExitCode, Failure> {
    output::print_line(&text(args.format.format))?;
    Ok(ExitCode::Ok)
}

fn text(format: Format) -> String {
    match format {
        Format::Text => format!("stitch {VERSION}"),
        Format::Json => json!({ "name": "stitch", "version": VERSION }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_name_the_version() {
        assert_eq!(text(Format::Text), format!("stitch {VERSION}"));
        assert_eq!(
            text(Format::Json),
            format!("{{\"name\":\"stitch\",\"version\":\"{VERSION}\"}}")
        );
    }
}
