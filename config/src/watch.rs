//! Has anything changed that a load has read? Polled by whoever wants to reload.
//!
//! Covered are the YAML files, the overlay file, what the patterns of `include` match now, and the
//! files that responses, `tls` and `auth` name. Metadata is compared first; the content only when the metadata moved, so a
//! `touch`, or an editor that writes the same bytes again, is no change.

use crate::glob;
use crate::load::Loaded;
use crate::model::ResponseBody;
use crate::overlay::is_overlay;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The state of everything that one load has read.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    files: Vec<(PathBuf, Stamp)>,
    includes: Vec<(PathBuf, Vec<PathBuf>)>,
    overlay: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    /// `None` when there is no such file, or when it changed while it was being looked at.
    metadata: Option<Metadata>,
    /// `None` when it cannot be read.
    content: Option<u64>,
}

/// An editor that saves by renaming keeps size and perhaps time, but not the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Metadata {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Fingerprint {
    /// Takes the state of the files behind a load.
    pub fn take(loaded: &Loaded) -> Self {
        let mut files: Vec<_> = loaded
            .sources
            .files()
            .map(|(path, text)| {
                let mut stamp = Stamp::of(path);
                let read = Some(hash_bytes(text.as_bytes()));
                // Saved between the load and now: what was loaded counts, so the next look differs.
                // A file that could not be read stands there without text.
                if !text.is_empty() && stamp.content != read {
                    stamp = Stamp { metadata: None, content: read };
                }
                (path.to_owned(), stamp)
            })
            .collect();
        let overlay = loaded.sources.overlay();
        for path in response_files(loaded).chain(pem_files(loaded)).chain(overlay) {
            if !files.iter().any(|(known, _)| known == path) {
                files.push((path.to_owned(), Stamp::of(path)));
            }
        }
        let includes = loaded
            .sources
            .includes()
            .map(|pattern| (pattern.to_owned(), matched(pattern)))
            .collect();
        Self { files, includes, overlay: overlay.map(Path::to_owned) }
    }

    /// The overlay file was written, or removed, by whoever holds this: that is no change.
    pub fn overlay_written(&mut self, text: Option<&str>) {
        let Some(path) = &self.overlay else { return };
        let mut stamp = Stamp::of(path);
        let written = text.map(|text| hash_bytes(text.as_bytes()));
        if stamp.content != written {
            stamp = Stamp { metadata: None, content: written };
        }
        let known = self.files.iter_mut().filter(|(known, _)| known == path);
        known.for_each(|(_, known)| *known = stamp.clone());
    }

    /// Whether any of it is different now.
    pub fn changed(&self) -> bool {
        self.includes.iter().any(|(pattern, before)| matched(pattern) != *before)
            || self.files.iter().any(|(path, stamp)| stamp.differs(path))
    }
}

/// What a pattern of `include` matches now.
fn matched(pattern: &Path) -> Vec<PathBuf> {
    let mut found = glob::expand(pattern);
    found.retain(|path| !is_overlay(path));
    found
}

fn response_files(loaded: &Loaded) -> impl Iterator<Item = &Path> {
    let endpoints = loaded.config.services.iter().flat_map(|service| &service.endpoints);
    endpoints.filter_map(|endpoint| match &endpoint.response.body {
        ResponseBody::File(path, _) => Some(path.as_path()),
        _ => None,
    })
}

fn pem_files(loaded: &Loaded) -> impl Iterator<Item = &Path> {
    loaded.config.pem_files().map(|file| file.path.as_path())
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let before = metadata(path);
        let content = hash_file(path).ok();
        Self { metadata: before.filter(|_| before == metadata(path)), content }
    }

    fn differs(&self, path: &Path) -> bool {
        let now = metadata(path);
        if now.is_some() && now == self.metadata {
            return false;
        }
        hash_file(path).ok() != self.content
    }
}

fn metadata(path: &Path) -> Option<Metadata> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Metadata { modified: metadata.modified().ok(), length: metadata.len(), inode })
}

fn hash_file(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut hasher = DefaultHasher::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.write(&buffer[..read]),
        }
    }
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
