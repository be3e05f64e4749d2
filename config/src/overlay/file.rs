//! The overlay file: where it is, and what stands in it.

use super::{Values, Written};
use crate::problem::Report;
use crate::yaml;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the end of the stem of every overlay file is.
const MARK: &str = ".overlay";

/// What every overlay file that is written here begins with.
const HEADER: &str = "\
# Changes of policies that were made at run time (PATCH …?persist=true of the admin API). They are
# merged over the file beside this one, which is never written to. Delete this file, or a key of it,
# and the change is undone. It is written anew by the next such change; comments are then lost.
";

/// Where the overlay file of a configuration is looked for: `stitch.overlay.yaml` beside
/// `stitch.yaml`.
pub fn path_of(file: &Path) -> PathBuf {
    let mut name = file.file_stem().map(OsString::from).unwrap_or_default();
    name.push(MARK);
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// Whether this is the overlay file of some other file, so that no pattern of `include` means it.
pub(crate) fn is_overlay(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let Some(stem) = stem.and_then(|stem| stem.strip_suffix(MARK)) else { return false };
    let mut original = OsString::from(stem);
    if let Some(extension) = path.extension() {
        original.push(".");
        original.push(extension);
    }
    path.with_file_name(original).is_file()
}

/// The text of an overlay file that makes these keys of a service what they are in force, whatever
/// else it says; `None` when nothing is left to say.
///
/// `before` is what the file says now, and has been loaded without errors.
pub fn persisted(
    before: Option<&str>,
    values: &Values,
    service: &str,
    keys: &[String],
) -> Option<String> {
    // Without variables filled in: they are to stand in the file as before.
    let root = before.and_then(|text| yaml::parse(text, 0, None, &mut Report::default()));
    let mut root = root.map_or(Written::Map(Vec::new()), |root| Written::of(&root, true));
    let services = child(&mut root, "services");
    let own = child(services, service);
    for key in keys {
        let (files, wanted) = (values.files.get(service, key), values.in_force.get(service, key));
        let entries = own.entries_mut();
        let known = entries.iter().position(|(known, _)| known == key);
        match (Written::difference(files, wanted), known) {
            (Some(patch), Some(at)) => entries[at].1 = patch,
            (Some(patch), None) => entries.push((key.clone(), patch)),
            (None, Some(at)) => drop(entries.remove(at)),
            (None, None) => {}
        }
    }
    let services = services.entries_mut();
    services.retain(|(_, changes)| !matches!(changes, Written::Map(changes) if changes.is_empty()));
    (!services.is_empty()).then(|| format!("{HEADER}{}", root.to_yaml()))
}

/// The map below a key, made if it is not there.
fn child<'w>(parent: &'w mut Written, key: &str) -> &'w mut Written {
    let entries = parent.entries_mut();
    let at = entries.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        entries.push((key.to_owned(), Written::Map(Vec::new())));
        entries.len() - 1
    });
    &mut entries[at].1
}
