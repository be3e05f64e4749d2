//! The configuration file of a command: which one is meant, and what came of reading it.

use crate::cli::FileArg;
use crate::exit::{ExitCode, Failure};
use crate::report::summary;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use stitch_config::overlay::{Changes, Values};
use stitch_config::watch::Fingerprint;
use stitch_config::{Config, Report, Sources};

/// Looked for in the current directory when no file is named, in this order.
const DEFAULTS: [&str; 2] = ["stitch.yaml", "services.yaml"];

/// What came of reading a file, problems included.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The best that could be made of it; usable only when the report has no errors.
    pub(crate) config: Config,
    /// Every file that was read.
    pub(crate) sources: Sources,
    /// Every problem.
    pub(crate) report: Report,
    /// The environment variables that were looked up.
    pub(crate) variables: Vec<String>,
    /// The overlay file, if there is one.
    pub(crate) overlay: Option<PathBuf>,
    /// What can be changed at run time, as written.
    pub(crate) values: Values,
}

/// Where a setting of a running stitch is to be found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice<T> {
    /// In this file.
    File(PathBuf),
    /// The environment says it outright.
    Environment(T),
    /// Nowhere.
    Nothing,
}

/// A file that was named beats the environment, which beats a file that happens to lie here.
pub(crate) fn choose<T>(file: &FileArg, environment: Option<T>) -> Choice<T> {
    choose_in(Path::new(""), file, environment)
}

fn choose_in<T>(directory: &Path, file: &FileArg, environment: Option<T>) -> Choice<T> {
    match (&file.file, environment, default_file(directory)) {
        (Some(file), ..) => Choice::File(file.clone()),
        (None, Some(value), _) => Choice::Environment(value),
        (None, None, Some(file)) => Choice::File(file),
        (None, None, None) => Choice::Nothing,
    }
}

/// The file that was named, else the default one.
pub(crate) fn find(file: &FileArg) -> Result<PathBuf, Failure> {
    match choose::<()>(file, None) {
        Choice::File(path) => Ok(path),
        Choice::Environment(()) | Choice::Nothing => Err(nothing_here()),
    }
}

fn nothing_here() -> Failure {
    let here = env::current_dir().map_or_else(|_| ".".to_owned(), |dir| dir.display().to_string());
    let [first, second] = DEFAULTS;
    Failure::usage(format!("no FILE is given, and neither {first} nor {second} is in {here}"))
}

fn default_file(directory: &Path) -> Option<PathBuf> {
    DEFAULTS.iter().map(|name| directory.join(name)).find(|path| path.is_file())
}

/// Reads a file. Problems are in the report; nothing is printed.
pub(crate) fn load(path: &Path) -> Loaded {
    load_and_watch(path, &Changes::default()).0
}

/// The same with changes over it, and what to watch for changes of what was read.
pub(crate) fn load_and_watch(path: &Path, changes: &Changes) -> (Loaded, Fingerprint) {
    let variables = RefCell::new(BTreeSet::new());
    let look_up = |name: &str| {
        variables.borrow_mut().insert(name.to_owned());
        env::var(name).ok()
    };
    let loaded = stitch_config::load_with(path, &look_up, changes);
    let fingerprint = Fingerprint::take(&loaded);
    let stitch_config::Loaded { config, sources, report, overlay, values } = loaded;
    let variables = variables.into_inner().into_iter().collect();
    (Loaded { config, sources, report, variables, overlay, values }, fingerprint)
}

/// Reads a file that must be good; otherwise every problem is printed.
pub(crate) fn load_valid(path: &Path) -> Result<Loaded, Failure> {
    let loaded = load(path);
    if loaded.report.has_errors() {
        loaded.tell();
        return Err(Failure::told(ExitCode::Problems));
    }
    Ok(loaded)
}

/// What people call an overlay file.
pub(crate) fn overlay_name(overlay: Option<&Path>) -> Option<String> {
    Some(overlay?.file_name()?.to_string_lossy().into_owned())
}

impl Loaded {
    /// Prints every problem for people, and how many there are if any are errors.
    pub(crate) fn tell(&self) {
        eprint!("{}", self.report.render(&self.sources));
        if self.report.has_errors() {
            eprintln!("{}", self.summary());
        }
    }

    /// `stitch.yaml: ok (5 services, 3 routes)`, or how many errors.
    pub(crate) fn summary(&self) -> String {
        let file = self.config.file.display().to_string();
        let summary = summary(&file, &self.report, &self.config);
        match self.overlay_name() {
            Some(overlay) => format!("{summary} with changes from {overlay}"),
            None => summary,
        }
    }

    /// The name of the overlay file, if there is one; it lies beside the file.
    pub(crate) fn overlay_name(&self) -> Option<String> {
        overlay_name(self.overlay.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    const NAMED: &str = "named.yaml";

    fn named() -> FileArg {
        FileArg { file: Some(NAMED.into()) }
    }

    #[test]
    fn stitch_yaml_comes_before_services_yaml() {
        let scratch = Scratch::new();
        assert_eq!(default_file(scratch.path()), None);
        let services = scratch.write("services.yaml", "");
        assert_eq!(default_file(scratch.path()), Some(services));
        let stitch = scratch.write("stitch.yaml", "");
        assert_eq!(default_file(scratch.path()), Some(stitch));
    }

    #[test]
    fn named_beats_environment_beats_default() {
        let scratch = Scratch::new();
        let none = FileArg::default();
        assert_eq!(choose_in::<u8>(scratch.path(), &none, None), Choice::Nothing);
        let here = scratch.write("stitch.yaml", "");
        assert_eq!(choose_in::<u8>(scratch.path(), &none, None), Choice::File(here));
        assert_eq!(choose_in(scratch.path(), &none, Some(1)), Choice::Environment(1));
        assert_eq!(choose_in(scratch.path(), &named(), Some(1)), Choice::File(NAMED.into()));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(find(&named()).unwrap(), Path::new(NAMED));
        let message = nothing_here().message().unwrap();
        assert!(message.contains("neither stitch.yaml nor services.yaml"), "{message}");
    }

    #[test]
    fn a_good_file_is_loaded_with_what_it_looked_up() {
        let scratch = Scratch::new();
        let text =
            "services:\n  users:\n    url: http://127.0.0.1:1\n    port: ${USERS_PORT:-8001}\n";
        let loaded = load_valid(&scratch.write("stitch.yaml", text)).unwrap();
        assert_eq!(loaded.config.services[0].port, Some(8001));
        assert_eq!(loaded.variables, ["USERS_PORT"]);
        assert!(loaded.summary().ends_with("stitch.yaml: ok (1 service, 0 routes)"));
    }

    #[test]
    fn a_bad_file_ends_with_its_problems() {
        let scratch = Scratch::new();
        let failure = load_valid(&scratch.write("stitch.yaml", "servces: {}\n")).unwrap_err();
        assert_eq!((failure.exit, failure.message()), (ExitCode::Problems, None));
        let failure = load_valid(&scratch.path().join("absent.yaml")).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Problems);
    }
}
