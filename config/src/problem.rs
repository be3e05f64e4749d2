//! Everything that is wrong with a configuration, told at once.

use crate::place::{Place, Sources};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file cannot be used.
    Error,
    /// The file works, but probably not as meant.
    Warning,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub level: Level,
    /// Where it stands.
    pub place: Place,
    /// The key path, such as `services.payments.endpoints[0].method`; empty for whole-file problems.
    pub path: String,
    /// A lower-case fragment that names the wrong value.
    pub message: String,
    /// What to write instead, when that is known.
    pub hint: Option<String>,
}

impl Problem {
    /// An error at a place.
    pub fn error(place: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Error, place, path: path.into(), message: message.into(), hint: None }
    }

    /// A warning at a place.
    pub fn warning(place: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(place, path, message) }
    }

    /// Whether the file cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All problems of one load, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
    /// The column of the first secret of a line, by file and line.
    secrets: BTreeMap<(u16, u32), u32>,
}

impl Report {
    /// Adds one problem.
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Has no problem of this line quote what stands there, or after it.
    pub(crate) fn keep_secret(&mut self, place: Place) {
        let first = self.secrets.entry((place.file, place.line)).or_insert(place.column);
        *first = place.column.min(*first);
    }

    /// The line of a problem as it may be shown; `None` when that is behind a secret.
    fn quote<'s>(&self, place: Place, sources: &'s Sources) -> Option<Cow<'s, str>> {
        let line = sources.line(place)?;
        match self.secrets.get(&(place.file, place.line)) {
            None => Some(line.into()),
            Some(first) if place.column > *first => None,
            Some(first) => {
                let before = usize::try_from(first.saturating_sub(1)).unwrap_or(0);
                Some(line.chars().take(before).chain("***".chars()).collect())
            }
        }
    }

    /// What was added last.
    pub(crate) fn last_mut(&mut self) -> Option<&mut Problem> {
        self.problems.last_mut()
    }

    /// Every problem, in the order of telling.
    pub fn into_problems(self) -> impl Iterator<Item = Problem> {
        self.problems.into_iter()
    }

    /// Whether the configuration must be refused.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|p| p.is_error()).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.problems.len() - self.errors()
    }

    /// Every problem, by file and line.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<_> = self.problems.iter().collect();
        sorted.sort_by_key(|p| (p.place.file, p.place.line, p.place.column));
        sorted
    }

    /// The whole report as a person reads it: message, `file:line:column`, snippet, path, hint.
    ///
    /// ```text
    /// error: unknown method "PSOT"
    ///   --> stitch.yaml:12:15
    ///    |
    /// 12 |       method: PSOT
    ///    |               ^^^^ services.payments.endpoints[0].method
    ///    = hint: did you mean "POST"?
    /// ```
    pub fn render(&self, sources: &Sources) -> String {
        let mut out = String::new();
        for problem in self.sorted() {
            let line = self.quote(problem.place, sources);
            render_one(&mut out, problem, line.as_deref(), sources);
            out.push('\n');
        }
        out
    }
}

impl Extend<Problem> for Report {
    fn extend<T: IntoIterator<Item = Problem>>(&mut self, iter: T) {
        self.problems.extend(iter);
    }
}

fn render_one(out: &mut String, problem: &Problem, line: Option<&str>, sources: &Sources) {
    let level = match problem.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let number = problem.place.line.to_string();
    let margin = " ".repeat(number.len());
    let _ = writeln!(out, "{level}: {}", problem.message);
    let _ = writeln!(out, "{margin}--> {}", sources.locate(problem.place));
    if let Some(line) = line {
        let column = usize::try_from(problem.place.column.saturating_sub(1)).unwrap_or(0);
        let width = usize::try_from(problem.place.width.max(1)).unwrap_or(1);
        let (line, before) = window(line, column);
        let carets = "^".repeat(width.min(line.chars().count().saturating_sub(before).max(1)));
        let marks = format!("{}{carets} {}", " ".repeat(before), problem.path);
        let _ = writeln!(out, "{margin} |");
        let _ = writeln!(out, "{number} | {}", line.trim_end());
        let _ = writeln!(out, "{margin} | {}", marks.trim_end());
    } else if !problem.path.is_empty() {
        let _ = writeln!(out, "{margin} = at {}", problem.path);
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "{margin} = hint: {hint}");
    }
}

/// The part of a line around a column, and where the column stands in it. A body written as one
/// line of JSON must not fill the terminal; tabs would shift the marks.
fn window(line: &str, column: usize) -> (String, usize) {
    const SHOWN: usize = 160;
    let start = match line.chars().count() > SHOWN {
        true => column.saturating_sub(SHOWN / 2),
        false => 0,
    };
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let shown = line.chars().skip(start).take(SHOWN).map(plain).collect();
    (shown, column - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(line: &str, column: u32) -> String {
        let mut sources = Sources::default();
        let file = sources.add("x.yaml".into(), line);
        let mut report = Report::default();
        report.push(Problem::warning(Place { file, line: 1, column, width: 3 }, "a.b", "odd"));
        report.render(&sources)
    }

    #[test]
    fn a_report_points_at_the_value() {
        let expected = "warning: odd\n --> x.yaml:1:4\n  |\n1 | a: bcd\n  |    ^^^ a.b\n\n";
        assert_eq!(render("a: bcd", 4), expected);
        assert!(render("a:\tbcd", 4).contains("1 | a: bcd\n  |    ^^^ a.b\n"));
    }

    #[test]
    fn secrets_are_never_quoted() {
        let mut sources = Sources::default();
        let file = sources.add("x.yaml".into(), "{ ü: 1, b: hunter2, c: hunter3, d: 4 }");
        let at = |column| Place { file, line: 1, column, width: 7 };
        let render = |column| {
            let mut report = Report::default();
            report.keep_secret(at(23));
            report.keep_secret(at(12));
            report.push(Problem::error(at(column), "a.b", "odd"));
            report.render(&sources)
        };
        let before =
            "error: odd\n --> x.yaml:1:6\n  |\n1 | { ü: 1, b: ***\n  |      ^^^^^^^ a.b\n\n";
        assert_eq!(render(6), before);
        let secret =
            "error: odd\n --> x.yaml:1:12\n  |\n1 | { ü: 1, b: ***\n  |            ^^^ a.b\n\n";
        assert_eq!(render(12), secret);
        assert_eq!(render(23), "error: odd\n --> x.yaml:1:23\n  = at a.b\n\n");
        assert_eq!(render(35), "error: odd\n --> x.yaml:1:35\n  = at a.b\n\n");
    }

    #[test]
    fn long_lines_are_shown_around_the_value() {
        let line = format!("{}bcd{}", "x".repeat(5000), "y".repeat(5000));
        let shown = render(&line, 5001);
        assert!(shown.len() < 600, "{shown}");
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[3].find("bcd"), lines[4].find("^^^"));
    }

    #[test]
    fn a_problem_without_a_place_names_its_path_only() {
        let mut report = Report::default();
        report.extend([Problem::error(Place::default(), "a.b", "odd")]);
        assert_eq!(report.render(&Sources::default()), "error: odd\n --> <config>\n  = at a.b\n\n");
    }
}
