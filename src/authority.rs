//! The certificate authority of this installation, which tunnels are looked into with.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stitch_net::tls::{Authority, default_dir, replace_file};

/// Where its files are: `$STITCH_CA_DIR`, else below the user's data folder.
pub(crate) fn folder() -> Result<PathBuf, String> {
    default_dir(&|name| env::var(name).ok())
        .ok_or_else(|| "there is no home directory to keep a certificate authority in".to_owned())
}

/// Opens it, or makes it where there is none.
pub(crate) fn open() -> Result<Arc<Authority>, String> {
    open_in(&folder()?).map(Arc::new)
}

/// Opens the one in this folder, or makes it.
pub(crate) fn open_in(folder: &Path) -> Result<Authority, String> {
    Authority::open_or_create(folder).map_err(|error| error.to_string())
}

/// Writes what others may read, beside the file and then in its place, so that nobody reads half.
/// A link is followed; a pipe or a device is written to as it is.
pub(crate) fn write_public(path: &Path, text: &str) -> io::Result<()> {
    const READABLE: u32 = 0o644;
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return fs::write(path, text);
    }
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    replace_file(path, text, READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn public_files_are_replaced_whole() {
        let scratch = Scratch::new();
        let path = scratch.write("roots.pem", "old");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write_public(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn links_are_followed_and_devices_stay_devices() {
        let scratch = Scratch::new();
        let path = scratch.write("roots.pem", "old");
        let link = scratch.path().join("link.pem");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_public(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        write_public(Path::new("/dev/null"), "gone").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path().join("taken")).unwrap();
        fs::write(scratch.path().join("taken/file"), "").unwrap();
        assert!(write_public(&scratch.path().join("taken"), "x").is_err());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        assert!(write_public(&scratch.path().join("absent/file"), "x").is_err());
    }
}
