//! `stitch schema`.

use crate::exit::{ExitCode, Failure};
use crate::output;

pub(super) fn run() -> Result<ExitCode, Failure> {
    output::print_line(&format!("{:#}", stitch_config::schema()))?;
    Ok(ExitCode::Ok)
}
