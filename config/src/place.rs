//! Where in which file a value stands, so that every later message can name it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A position in one of the files that were read.
///
/// Cheap to copy; [`Sources`] turns it back into a path and a line of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index into [`Sources`]; files are numbered in the order in which they were read.
    pub file: u16,
    /// Line, from 1. Zero means that the position is not known.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How many characters the value spans on its first line (for the underline); at least 1.
    pub width: u32,
}

/// The files that were read, kept for messages.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
    includes: Vec<PathBuf>,
    overlay: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    /// For text that is in no file: the file beside which it is meant.
    beside: Option<PathBuf>,
    text: Arc<str>,
    /// Where each line starts, in bytes: a report may quote thousands of them.
    lines: Vec<usize>,
}

impl Sources {
    /// Adds a file and returns its index.
    pub fn add(&mut self, path: PathBuf, text: impl Into<Arc<str>>) -> u16 {
        self.push(path, None, text.into())
    }

    /// Adds text that is in no file, by the name that reports give it. Relative paths in it start
    /// where those of `main` do.
    pub(crate) fn add_virtual(&mut self, name: &str, text: &str, main: &Path) -> u16 {
        self.push(name.into(), Some(main.to_owned()), text.into())
    }

    fn push(&mut self, path: PathBuf, beside: Option<PathBuf>, text: Arc<str>) -> u16 {
        let lines =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.files.push(Source { path, beside, text, lines });
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    fn source(&self, place: Place) -> Option<&Source> {
        self.files.get(usize::from(place.file))
    }

    /// Remembers a path or pattern that `include` asked for, whether or not it matched anything.
    pub(crate) fn add_include(&mut self, pattern: PathBuf) {
        if !self.includes.contains(&pattern) {
            self.includes.push(pattern);
        }
    }

    /// Every path and pattern that `include` asked for, in the directory of its file.
    pub fn includes(&self) -> impl Iterator<Item = &Path> {
        self.includes.iter().map(PathBuf::as_path)
    }

    /// Remembers where the overlay file was looked for, whether or not there is one.
    pub(crate) fn set_overlay(&mut self, path: PathBuf) {
        self.overlay = Some(path);
    }

    /// Where the overlay file was looked for.
    pub fn overlay(&self) -> Option<&Path> {
        self.overlay.as_deref()
    }

    /// The directory in which relative paths at a place start.
    fn base(&self, place: Place) -> Option<&Path> {
        let source = self.source(place)?;
        source.beside.as_ref().unwrap_or(&source.path).parent()
    }

    /// The directory of the file that holds a place; relative paths in it start there.
    pub fn directory(&self, place: Place) -> PathBuf {
        match self.base(place) {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// A path as the file that holds a place means it.
    pub fn relative(&self, place: Place, path: impl AsRef<Path>) -> PathBuf {
        match self.base(place) {
            Some(parent) => parent.join(path),
            None => path.as_ref().to_owned(),
        }
    }

    /// The path of a file as it was given on the command line or in `include`.
    pub fn path(&self, place: Place) -> Option<&Path> {
        self.source(place).map(|source| source.path.as_path())
    }

    /// The line of text at a place, without its line end.
    pub fn line(&self, place: Place) -> Option<&str> {
        let Source { text, lines, .. } = self.source(place)?;
        let start = *lines.get(usize::try_from(place.line.checked_sub(1)?).ok()?)?;
        text.get(start..)?.lines().next()
    }

    /// The text of the whole file that holds a place.
    pub fn text(&self, place: Place) -> Option<&Arc<str>> {
        self.source(place).map(|source| &source.text)
    }

    /// Every path that was read and its text, in order.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Arc<str>)> {
        let files = self.files.iter().filter(|source| source.beside.is_none());
        files.map(|source| (source.path.as_path(), &source.text))
    }

    /// Every path that was read, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files().map(|(path, _)| path)
    }

    /// `file:line:column`, as editors and terminals make it clickable.
    pub fn locate(&self, place: Place) -> impl fmt::Display + '_ {
        Located { sources: self, place }
    }
}

struct Located<'a> {
    sources: &'a Sources,
    place: Place,
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sources.path(self.place) {
            Some(path) if self.place.line > 0 => {
                write!(f, "{}:{}:{}", path.display(), self.place.line, self.place.column)
            }
            Some(path) => write!(f, "{}", path.display()),
            None => write!(f, "<config>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_number() {
        let mut sources = Sources::default();
        let file = sources.add(PathBuf::from("dir/a.yaml"), "one\r\n\nthree");
        let line = |line| sources.line(Place { file, line, ..Place::default() });
        assert_eq!(
            [line(0), line(1), line(2), line(3), line(4)],
            [None, Some("one"), Some(""), Some("three"), None]
        );
        let place = Place { file, line: 3, column: 2, width: 1 };
        assert_eq!(sources.locate(place).to_string(), "dir/a.yaml:3:2");
        assert_eq!(sources.text(place).map(|text| text.len()), Some(11));
        assert_eq!(sources.directory(place), Path::new("dir"));
        assert_eq!(sources.relative(place, "a.pem"), Path::new("dir/a.pem"));
        assert_eq!(sources.paths().count(), 1);
        let unknown = Place { file: 7, ..place };
        assert_eq!((sources.line(unknown), sources.directory(unknown)), (None, PathBuf::from(".")));
        assert_eq!(sources.relative(unknown, "./a.pem"), Path::new("./a.pem"));
    }
}
