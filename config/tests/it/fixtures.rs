//! Every file of `tests/fixtures`: valid ones load, and reports are as written beside the files.
//!
//! `STITCH_BLESS=1 cargo test -p stitch-config` writes the reports anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use stitch_config::load;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/fixtures").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// Loads every file and compares its report with the text beside it; no text means no problem.
fn check(folder: &str, at_least: usize, errors: bool) {
    let files = files(folder);
    assert!(files.len() >= at_least, "only {} files found", files.len());
    let bless = std::env::var_os("STITCH_BLESS").is_some();
    let mut differences = String::new();
    for path in &files {
        let loaded = load(path, &super::env);
        let report = loaded.report.render(&loaded.sources);
        assert_eq!(loaded.report.has_errors(), errors, "{}:\n{report}", path.display());
        let golden = path.with_extension("txt");
        if bless && !report.is_empty() {
            fs::write(&golden, &report).unwrap();
        } else if bless {
            fs::remove_file(&golden).ok();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != report {
            writeln!(differences, "{} differs from:\n{report}", golden.display()).unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn valid_files_load_with_at_most_the_warnings_beside_them() {
    check("valid", 6, false);
}

#[test]
fn invalid_files_give_the_report_beside_them() {
    check("invalid", 25, true);
}

#[test]
fn ten_mistakes_are_ten_errors() {
    let loaded = load(Path::new("tests/fixtures/invalid/ten-mistakes.yaml"), &super::env);
    assert_eq!(loaded.report.errors(), 10, "{}", loaded.report.render(&loaded.sources));
    let lines: Vec<_> = loaded.report.sorted().iter().map(|problem| problem.place.line).collect();
    assert!(lines.iter().all(|line| *line > 0), "{lines:?}");
}
