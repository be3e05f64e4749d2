//! Files that are replaced whole: written beside, then renamed, so that nobody reads half of one.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Puts a file with this text and mode in the place of whatever is there, in one step. A link is
/// replaced, not followed, and so is one that was planted where the draft is to be.
///
/// # Errors
/// When the folder cannot be written to; then nothing is left behind, and what was there stays.
pub fn replace_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = draft(path);
    let written = write_new(&draft, text, mode).and_then(|()| fs::rename(&draft, path));
    written.inspect_err(|_| {
        // What is left of the draft is worth nothing; the first error is the one to tell.
        let _ = fs::remove_file(&draft);
    })
}

/// A name of its own for every write, since others may replace the same file at the same time.
fn draft(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}-{number}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // A killed process of the same id may have left one, with another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nothing that is put there in between is opened.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken more than it should.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::Scratch;
    use std::os::unix::fs::symlink;

    fn names(scratch: &Scratch) -> Vec<OsString> {
        fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode() {
        let scratch = Scratch::new();
        let path = scratch.write("ca.pem", "old");
        for (text, mode) in [("new", 0o644), ("newer", 0o600)] {
            replace_file(&path, text, mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(names(&scratch), ["ca.pem"]);
    }

    #[test]
    fn a_link_that_was_planted_leads_nowhere() {
        let scratch = Scratch::new();
        let victim = scratch.write("victim", "precious");
        let planted = scratch.path().join("ca.pem.new");
        symlink(&victim, &planted).unwrap();
        write_new(&planted, "text", 0o644).unwrap();
        assert!(!planted.is_symlink());
        assert_eq!(fs::read_to_string(&planted).unwrap(), "text");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_no_draft_is_left() {
        let scratch = Scratch::new();
        let taken = scratch.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(replace_file(&taken, "text", 0o644).is_err());
        assert_eq!(names(&scratch), ["taken"]);
        assert!(replace_file(&taken.join("absent/file"), "text", 0o644).is_err());
    }

    #[test]
    fn many_who_write_at_once_leave_one_whole_text() {
        let scratch = Scratch::new();
        let path = scratch.path().join("bundle.pem");
        let texts = ["a", "b", "c", "d"].map(|letter| letter.repeat(1 << 16));
        std::thread::scope(|threads| {
            for text in &texts {
                threads.spawn(|| replace_file(&path, text, 0o644).unwrap());
            }
        });
        assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(names(&scratch), ["bundle.pem"]);
    }
}
