//! `stitch check`: every problem of a file, nothing bound.

use crate::cli::{CheckArgs, Format};
use crate::exit::{ExitCode, Failure};
use crate::file::{self, Loaded};
use crate::output;
use crate::report::ProblemLine;
use crate::serve::load_and_check;

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let path = file::find(&args.file)?;
    let loaded = load_and_check(&path);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::FileArg;
    use crate::cli::args::FormatArg;
    use crate::testing::Scratch;

    fn check(text: &str, format: Format) -> Result<ExitCode, ExitCode> {
        let scratch = Scratch::new();
        let file = FileArg { file: Some(scratch.write("stitch.yaml", text)) };
        run(&CheckArgs { file, format: FormatArg { format } }).map_err(|failure| failure.exit)
    }

    #[test]
    fn the_exit_code_is_the_verdict() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(check("services: {}\n", format), Ok(ExitCode::Ok));
            assert_eq!(check("servces: {}\n", format), Err(ExitCode::Problems));
        }
    }

    #[test]
    fn every_problem_is_a_line() {
        let scratch = Scratch::new();
        let path = scratch.write("stitch.yaml", "servces: {}\nrotes: []\n");
        let lines = lines(&file::load(&path));
        let wrong: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(wrong.len() >= 2, "{lines}");
        assert_eq!(wrong[1]["line"], 2);
        assert_eq!(wrong[1]["file"], path.display().to_string());
    }
}
