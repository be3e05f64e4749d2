//! What is wrong with TLS files and names, in words, and which file it is about.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// A file, name or key that TLS cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{}", unreadable(.path, .source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file whose contents do not serve.
    #[error("{} {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The rest of a sentence that begins with the file.
        why: Cow<'static, str>,
    },
    /// A name that no certificate can be for.
    #[error("`{0}` is neither a host name nor an IP address")]
    Name(String),
    /// What is left: the crypto library refuses.
    #[error("{0}")]
    Crypto(String),
}

impl TlsError {
    /// The file that is wrong, for whoever knows where it was named.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. } | Self::Write { path, .. } | Self::File { path, .. } => {
                Some(path)
            }
            Self::Name(_) | Self::Crypto(_) => None,
        }
    }

    pub(super) fn file(path: &Path, why: impl Into<Cow<'static, str>>) -> Self {
        Self::File { path: path.to_owned(), why: why.into() }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("the file {} does not exist", path.display()),
        _ => format!("cannot read {}: {error}", path.display()),
    }
}
