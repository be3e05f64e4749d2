//! The way in: read the file and what it includes, merge, resolve.
//!
//! Start-up, `check` and reload all come through here. A load never fails: it yields what could be
//! understood and a report of the rest, so that later stages can add their problems before anybody
//! is told.

use crate::decode::{At, Decode as _, Word};
use crate::glob;
use crate::model::Config;
use crate::place::{Place, Sources};
use crate::problem::{Problem, Report};
use crate::raw::RawFile;
use crate::resolve::{Merged, resolve};
use crate::yaml::{self, Env, Spot};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// How large one file may be. Bodies of this size belong into files of their own.
const MAX_BYTES: u64 = 8 << 20;

/// How many files one configuration may have.
const MAX_FILES: usize = 1000;

/// A configuration, where it came from, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The best that could be made of the files; usable only when the report has no errors.
    pub config: Config,
    /// The files.
    pub sources: Sources,
    /// Every problem so far.
    pub report: Report,
}

/// Reads a configuration from a file and what it includes. Unreadable files are problems too.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let mut loader = Loader::new(env);
    let text = match read(path) {
        Ok(text) => text,
        Err(message) => {
            let file = loader.sources.add(path.to_owned(), "");
            let place = Place { file, ..Place::default() };
            loader.report.push(Problem::error(place, "", message));
            return loader.finish(path, None);
        }
    };
    loader.start(path, text)
}

/// Reads a configuration from text; `name` stands for its path, so includes are looked up beside it.
pub fn load_text(name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    Loader::new(env).start(Path::new(name), text.to_owned())
}

fn read(path: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("the file {} does not exist", path.display()),
        std::io::ErrorKind::InvalidData => format!("the file {} is not UTF-8 text", path.display()),
        _ => format!("cannot read {}: {error}", path.display()),
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(wrong)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(wrong)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("the file {} is larger than 8 MiB", path.display()));
    }
    Ok(text)
}

struct Loader<'a> {
    env: Env<'a>,
    sources: Sources,
    report: Report,
    /// Files that are being read, outermost first.
    open: Vec<PathBuf>,
    /// Every file that was read, by its real path, so that each is read once.
    done: HashSet<PathBuf>,
    /// What included files add, in the order in which they were read.
    parts: Vec<RawFile>,
}

impl<'a> Loader<'a> {
    fn new(env: Env<'a>) -> Self {
        let (sources, report) = (Sources::default(), Report::default());
        Self { env, sources, report, open: Vec::new(), done: HashSet::new(), parts: Vec::new() }
    }

    fn start(mut self, path: &Path, text: String) -> Loaded {
        let main = self.parse(path, text);
        if let Some(main) = &main {
            self.follow(path, main);
        }
        self.finish(path, main)
    }

    fn parse(&mut self, path: &Path, text: String) -> Option<RawFile> {
        let text: std::sync::Arc<str> = text.into();
        let file = self.sources.add(path.to_owned(), text.clone());
        let root = yaml::parse(&text, file, self.env, &mut self.report)?;
        RawFile::decode(&root, &mut self.report)
    }

    /// Reads what a file includes.
    fn follow(&mut self, path: &Path, file: &RawFile) {
        let real = identity(path);
        self.done.insert(real.clone());
        self.open.push(real);
        for wanted in file.include.iter().flat_map(|many| &many.0) {
            self.include(path, wanted);
        }
        self.open.pop();
    }

    fn include(&mut self, from: &Path, wanted: &At<Word>) {
        let pattern = match from.parent() {
            Some(parent) => parent.join(&wanted.value.0),
            None => PathBuf::from(&wanted.value.0),
        };
        self.sources.add_include(pattern.clone());
        if !glob::is_pattern(&pattern) {
            self.include_file(&pattern, &wanted.spot);
            return;
        }
        let mut found = glob::expand(&pattern);
        found.retain(|path| self.open.last() != Some(&identity(path)));
        if found.is_empty() {
            let message = format!("no file matches {}", pattern.display());
            self.report.push(wanted.spot.warning(message));
        }
        for path in found {
            self.include_file(&path, &wanted.spot);
        }
    }

    fn include_file(&mut self, path: &Path, spot: &Spot) {
        let real = identity(path);
        if let Some(start) = self.open.iter().position(|open| *open == real) {
            let mut names: Vec<_> = self.open[start..].iter().map(|path| short(path)).collect();
            names.push(short(&real));
            self.report.push(
                spot.error(format!("files include each other in a circle: {}", names.join(" → ")))
                    .hint("remove this include; what it names is loaded already"),
            );
            return;
        }
        if self.done.contains(&real) {
            return;
        }
        if self.done.len() >= MAX_FILES {
            self.report.push(spot.error(format!("more than {MAX_FILES} files are included")));
            return;
        }
        match read(path) {
            Ok(text) => {
                let Some(file) = self.parse(path, text) else {
                    self.done.insert(real);
                    return;
                };
                self.refuse_settings(&file);
                self.parts.push(file.clone());
                self.follow(path, &file);
            }
            Err(message) => {
                self.sources.add(path.to_owned(), "");
                self.done.insert(real);
                self.report.push(spot.error(message));
            }
        }
    }

    /// An included file adds to the configuration; it does not set what there is only one of.
    fn refuse_settings(&mut self, file: &RawFile) {
        let settings = [
            ("seed", file.seed.as_ref().map(|at| &at.spot)),
            ("proxy", file.proxy.as_ref().map(|at| &at.spot)),
            ("events", file.events.as_ref().map(|at| &at.spot)),
            ("defaults", file.defaults.as_ref().map(|at| &at.spot)),
        ];
        for (key, spot) in settings {
            if let Some(spot) = spot {
                self.report.push(
                    spot.error(format!("{key:?} cannot be set in an included file"))
                        .hint("only services, routes, vars and include stand there; move it to the file that is started"),
                );
            }
        }
    }

    fn finish(mut self, path: &Path, main: Option<RawFile>) -> Loaded {
        let merged = self.merge(path, main);
        let config = resolve(merged, &self.sources, &mut self.report);
        Loaded { config, sources: self.sources, report: self.report }
    }

    fn merge(&mut self, path: &Path, main: Option<RawFile>) -> Merged {
        let mut main = main.unwrap_or_default();
        let mut merged = Merged {
            file: path.to_owned(),
            vars: main.vars.take().map(|vars| vars.0).unwrap_or_default(),
            services: main.services.take().map(|services| services.0).unwrap_or_default(),
            routes: main.routes.take().unwrap_or_default(),
            main,
        };
        for part in std::mem::take(&mut self.parts) {
            let services = part.services.map(|services| services.0).unwrap_or_default();
            self.add("service", &mut merged.services, services);
            let vars = part.vars.map(|vars| vars.0).unwrap_or_default();
            self.add("variable", &mut merged.vars, vars);
            merged.routes.extend(part.routes.unwrap_or_default());
        }
        merged
    }

    /// Adds names from another file; a name that is there already is refused with both places.
    fn add<T>(&mut self, what: &str, known: &mut Vec<(At<String>, T)>, more: Vec<(At<String>, T)>) {
        let mut places: HashMap<_, _> =
            known.iter().map(|(name, _)| (name.value.clone(), name.spot.place)).collect();
        for (name, value) in more {
            if let Some(first) = places.get(&name.value) {
                let (text, first) = (&name.value, self.sources.locate(*first));
                self.report.push(
                    name.spot
                        .error(format!("the {what} {text:?} is declared twice, first at {first}"))
                        .hint("names are shared by all included files; rename one of the two"),
                );
                continue;
            }
            places.insert(name.value.clone(), name.spot.place);
            known.push((name, value));
        }
    }
}

/// The real path where there is one, so that two spellings of a file are one file.
fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
