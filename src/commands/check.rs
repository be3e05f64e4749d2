//! `stitch check`: every problem of a file, nothing bound.

use crate::cli::{CheckArgs, Format};
use crate::exit::{ExitCode, Failure};
use crate::file::{self, Loaded};
use crate::output;
use crate::report::ProblemLine;

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let path = file::find(&args.file)?;
    let loaded = file::load(&path);
    match args.format.format {
        Format::Json => output::print(&lines(&loaded))?,
        Format::Text => loaded.tell(),
    }
    if loaded.report.has_errors() {
        return Err(Failure::told(ExitCode::Problems));
    }
    if args.format.format == Format::Text {
        output::print_line(&loaded.summary())?;
    }
    Ok(ExitCode::Ok)
}

fn lines(loaded: &Loaded) -> String {
    let problems = ProblemLine::all(&loaded.report, &loaded.sources);
    problems.iter().map(|problem| problem.to_line() + "\n").collect()
}
