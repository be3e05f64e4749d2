//! A folder of one test's own, gone with its handle.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A temporary folder; dropping it deletes it and everything in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty folder under the system's temporary one.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        // The process id and a counter are unique among the living; a leftover of a killed
        // process with the same id is skipped.
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("stitch-kit-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot create {}: {error}", path.display()),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, which need not exist.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in one step (beside it, then renamed), making folders as needed, so that a
    /// watcher never sees half of it. Gives its path.
    #[track_caller]
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(&self.0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let beside = folder.join(format!(".half-written-{number}"));
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&beside, text))
            .and_then(|()| std::fs::rename(&beside, &path))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A process that still writes there is another handle's business.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_handle() {
        let scratch = Scratch::default();
        let other = Scratch::new();
        assert_ne!(scratch.path(), other.path());
        let file = scratch.write("deep/er/file", "text");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(file, scratch.join("deep/er/file"));
        let names: Vec<_> = std::fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing half-written stays behind");
        drop(scratch);
        assert!(!file.exists());
    }
}
