//! The files of a repository, in memory: read from disk, or invented by a test.

use std::collections::BTreeMap;
use std::io::Result;
use std::path::Path;

/// What holds nothing that a person wrote; `.git` is a file in a linked worktree.
const SKIPPED: [&str; 5] = [".git", "target", "node_modules", "__pycache__", "coverage"];

/// Paths relative to the root, with `/`, and the text of those files that are text.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    /// Reads the folder that holds the workspace.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"))?;
            } else if let Ok(bytes) = std::fs::read(entry.path()) {
                self.0.insert(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(())
    }

    /// Every text file with its path, in order.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Every Rust file with its path, in order.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The text of one file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether this is a file or a folder with files. The root is the empty path.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let within = |file: &str| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        path.is_empty() || self.0.contains_key(path) || self.paths().any(within)
    }

    /// A tree of invented files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let own = |&(path, text): &(&str, &str)| (path.to_owned(), Some(text.to_owned()));
        Self(files.iter().map(own).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_crate_is_read_from_disk() {
        let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(tree.exists("src") && tree.exists("src/tree.rs") && tree.exists(""));
        assert!(!tree.exists("sr") && !tree.exists("src/none.rs"));
        assert!(tree.text("src/tree.rs").unwrap().starts_with("//! The files"));
        assert!(tree.rust().all(|(path, _)| path.ends_with(".rs")));
    }

    #[test]
    fn generated_folders_and_binary_files_are_left_out() {
        let root = std::env::temp_dir().join(format!("stitch-tidy-{}", std::process::id()));
        std::fs::create_dir_all(root.join("target")).unwrap();
        std::fs::write(root.join("target/x.rs"), "x").unwrap();
        std::fs::write(root.join("logo.png"), [0xff, 0xfe]).unwrap();
        let tree = Tree::read(&root);
        std::fs::remove_dir_all(&root).unwrap();
        let tree = tree.unwrap();
        assert_eq!(tree.paths().collect::<Vec<_>>(), ["logo.png"]);
        assert_eq!(tree.texts().count(), 0);
    }
}
