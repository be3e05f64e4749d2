//! Problems of a file: counted for people, one JSON object each for programs.

use serde::Serialize;
use stitch_config::{Config, Level, Problem, Report, Sources};

/// One problem as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProblemLine {
    /// The file it stands in.
    pub(crate) file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub(crate) line: u32,
    /// Column, from 1; 0 when the whole file is meant.
    pub(crate) column: u32,
    /// `error` or `warning`.
    pub(crate) level: &'static str,
    /// The key path; empty when the whole file is meant.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead, or null.
    pub(crate) hint: Option<String>,
}

impl ProblemLine {
    /// Every problem of a report, by file and line.
    pub(crate) fn all(report: &Report, sources: &Sources) -> Vec<Self> {
        report.sorted().into_iter().map(|problem| Self::new(problem, sources)).collect()
    }

    fn new(problem: &Problem, sources: &Sources) -> Self {
        let file = sources.path(problem.place);
        Self {
            file: file.map(|path| path.display().to_string()).unwrap_or_default(),
            line: problem.place.line,
            column: problem.place.column,
            level: match problem.level {
                Level::Error => "error",
                Level::Warning => "warning",
            },
            path: problem.path.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }

    /// The line, without its end.
    pub(crate) fn to_line(&self) -> String {
        serde_json::to_string(self).expect("problems hold only strings and numbers")
    }
}

/// `stitch.yaml: 10 errors, 1 warning`, or `stitch.yaml: ok (5 services, 3 routes)`.
pub(crate) fn summary(file: &str, report: &Report, config: &Config) -> String {
    let mut parts = Vec::new();
    if report.has_errors() {
        parts.push(counted(report.errors(), "error"));
    } else {
        parts.push("ok".to_owned());
    }
    if report.warnings() > 0 {
        parts.push(counted(report.warnings(), "warning"));
    }
    // What could be made of a broken file is nothing to count.
    let size = if report.has_errors() {
        String::new()
    } else {
        let services = counted(config.services.len(), "service");
        format!(" ({services}, {})", counted(config.routes.len(), "route"))
    };
    format!("{file}: {}{size}", parts.join(", "))
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_config::Place;

    fn report(errors: usize, warnings: usize) -> Report {
        let mut report = Report::default();
        report.extend((0..errors).map(|_| Problem::error(Place::default(), "a", "bad")));
        report.extend((0..warnings).map(|_| Problem::warning(Place::default(), "b", "odd")));
        report
    }

    #[test]
    fn the_summary_counts() {
        let config = crate::testing::config("services: {}");
        let told = |errors, warnings| summary("s.yaml", &report(errors, warnings), &config);
        assert_eq!(told(10, 1), "s.yaml: 10 errors, 1 warning");
        assert_eq!(told(1, 0), "s.yaml: 1 error");
        assert_eq!(told(0, 2), "s.yaml: ok, 2 warnings (0 services, 0 routes)");
        assert_eq!(told(0, 0), "s.yaml: ok (0 services, 0 routes)");
    }

    #[test]
    fn a_line_holds_everything_about_a_problem() {
        let mut sources = Sources::default();
        let file = sources.add("more/a.yaml".into(), "x: 1\n");
        let place = Place { file, line: 1, column: 4, width: 1 };
        let mut report = Report::default();
        report.push(Problem::error(place, "x", "unknown key \"x\"").hint("did you mean \"y\"?"));
        report.push(Problem::warning(Place { file: 9, ..place }, "", "odd"));
        let lines: Vec<_> =
            ProblemLine::all(&report, &sources).iter().map(ProblemLine::to_line).collect();
        assert_eq!(
            lines[0],
            r#"{"file":"more/a.yaml","line":1,"column":4,"level":"error","path":"x","message":"unknown key \"x\"","hint":"did you mean \"y\"?"}"#
        );
        assert!(lines[1].contains(r#""file":"","#) && lines[1].ends_with(r#""hint":null}"#));
    }
}
