//! The way in: read the file and what it includes, merge, resolve.
//!
//! Start-up, `check` and reload all come through here. A load never fails: it yields what could be
//! understood and a report of the rest, so that later stages can add their problems before anybody
//! is told.

use crate::decode::{At, Decode as _, Word};
use crate::glob;
use crate::model::Config;
use crate::overlay::{self, Changes, Document, Level, Values};
use crate::place::{Place, Sources};
use crate::problem::{Problem, Report};
use crate::raw::RawFile;
use crate::resolve::{Merged, resolve};
use crate::yaml::{self, Env, Node, Spot, Value};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// The overlay file, if there is one.
    pub overlay: Option<PathBuf>,
    /// What can be changed, as written.
    pub values: Values,
}

/// Reads a configuration from a file, what it includes, and the overlay file beside it. Unreadable
/// files are problems too.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_with(path, env, &Changes::default())
}

/// The same with changes over it.
pub fn load_with(path: &Path, env: &dyn Fn(&str) -> Option<String>, changes: &Changes) -> Loaded {
    let mut loader = Loader::new(env);
    loader.changes = changes.clone();
    loader.sources.set_overlay(overlay::path_of(path));
    let text = match read(path) {
        Ok(text) => text,
        Err(message) => {
            let file = loader.sources.add(path.to_owned(), "");
            let place = Place { file, ..Place::default() };
            loader.report.push(Problem::error(place, "", message));
            return loader.finish(path);
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
    /// The files that could be read, in the order in which they were; the main one is the first.
    files: Vec<Node>,
    /// Whether that is all of them.
    whole: bool,
    changes: Changes,
}

impl<'a> Loader<'a> {
    fn new(env: Env<'a>) -> Self {
        let (sources, report) = (Sources::default(), Report::default());
        let (open, done, files) = (Vec::new(), HashSet::new(), Vec::new());
        let changes = Changes::default();
        Self { env, sources, report, open, done, files, whole: true, changes }
    }

    fn start(mut self, path: &Path, text: String) -> Loaded {
        self.read_in(path, text);
        self.finish(path)
    }

    /// Reads a file and what it includes.
    fn read_in(&mut self, path: &Path, text: String) {
        let real = identity(path);
        self.done.insert(real.clone());
        let text: Arc<str> = text.into();
        let file = self.sources.add(path.to_owned(), text.clone());
        let Some(root) = yaml::parse(&text, file, Some(self.env), &mut self.report) else {
            self.whole = false;
            return;
        };
        let includes = includes(&root);
        self.files.push(root);
        self.open.push(real);
        for wanted in &includes {
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
        let own = |path: &Path| self.open.last() == Some(&identity(path));
        found.retain(|path| !own(path) && !overlay::is_overlay(path));
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
            Ok(text) => self.read_in(path, text),
            Err(message) => {
                self.whole = false;
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

    fn finish(mut self, path: &Path) -> Loaded {
        let (overlay, values) = self.change(path);
        let mut files = std::mem::take(&mut self.files).into_iter();
        let main = files.next().and_then(|root| RawFile::decode(&root, &mut self.report));
        let mut parts = Vec::new();
        for part in files {
            if let Some(part) = RawFile::decode(&part, &mut self.report) {
                self.refuse_settings(&part);
                parts.push(part);
            }
        }
        let merged = self.merge(path, main.unwrap_or_default(), parts);
        let config = resolve(merged, &self.sources, &mut self.report);
        Loaded { config, sources: self.sources, report: self.report, overlay, values }
    }

    /// Puts the overlay file and changes at run time over the files.
    fn change(&mut self, path: &Path) -> (Option<PathBuf>, Values) {
        let own = Arc::new(Level::of(&self.files));
        let mut values = Values { files: own.clone(), with_overlay: own.clone(), in_force: own };
        // What is wrong with the file is to be put right first.
        if self.files.is_empty() {
            return (None, values);
        }
        let changes = std::mem::take(&mut self.changes);
        let overlay = self.sources.overlay().map(Path::to_owned);
        let text = changes.overlay.or_else(|| self.read_overlay(overlay.as_deref()?));
        let overlay = overlay.zip(text);
        if let Some((overlay, text)) = &overlay {
            self.apply(path, &Document::File { path: overlay, text });
            values.with_overlay = Arc::new(Level::of(&self.files));
            values.in_force = values.with_overlay.clone();
        }
        if !changes.run_time.is_empty() {
            for change in &changes.run_time {
                self.apply(path, &Document::RunTime(change));
            }
            values.in_force = Arc::new(Level::of(&self.files));
        }
        (overlay.map(|(path, _)| path), values)
    }

    fn apply(&mut self, main: &Path, document: &Document<'_>) {
        let told = (&mut self.sources, &mut self.report);
        overlay::apply(document, &mut self.files, told, (self.env, main, self.whole));
    }

    /// The overlay file, if there is one.
    fn read_overlay(&mut self, path: &Path) -> Option<String> {
        if !path.exists() {
            return None;
        }
        read(path)
            .map_err(|message| {
                let file = self.sources.add(path.to_owned(), "");
                let place = Place { file, ..Place::default() };
                self.report.push(Problem::error(place, "", message));
            })
            .ok()
    }

    fn merge(&mut self, path: &Path, mut main: RawFile, parts: Vec<RawFile>) -> Merged {
        let mut merged = Merged {
            file: path.to_owned(),
            vars: main.vars.take().map(|vars| vars.0).unwrap_or_default(),
            services: main.services.take().map(|services| services.0).unwrap_or_default(),
            routes: main.routes.take().unwrap_or_default(),
            main,
        };
        for part in parts {
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

/// What a file includes; mistakes in it are told when all of the file is decoded.
fn includes(root: &Node) -> Vec<At<Word>> {
    let Value::Map(entries) = &root.value else { return Vec::new() };
    let include = entries.iter().filter(|entry| entry.key == "include").cloned().collect();
    let alone = Node { spot: root.spot.clone(), value: Value::Map(include) };
    let file = RawFile::decode(&alone, &mut Report::default());
    file.and_then(|file| file.include).map(|many| many.0).unwrap_or_default()
}

/// The real path where there is one, so that two spellings of a file are one file.
fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
