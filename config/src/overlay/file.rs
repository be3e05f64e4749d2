//! The overlay file: where it is, and what stands in it.

use super::Values;
use super::written::{Tree, get};
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
/// `before` is what the file says now, and has been loaded without errors in this environment.
pub fn persisted(
    before: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
    values: &Values,
    service: &str,
    keys: &[String],
) -> Option<String> {
    // As it stands in the file, and as it is meant.
    let read = |env| yaml::parse(before?, 0, env, &mut Report::default());
    let mut root = read(None).map_or(Tree::Map(Vec::new()), |root| Tree::of(&root, true));
    let mut filled = read(Some(env)).map_or(Tree::Null, |root| Tree::of(&root, false));
    let filled = child(child(&mut filled, "services"), service).entries_mut();
    let services = child(&mut root, "services");
    let own = child(services, service).entries_mut();
    for key in keys {
        let files = values.files.get(service, key).map(|value| &value.0);
        let wanted = values.in_force.get(service, key).map(|value| &value.0);
        let known = own.iter().position(|(known, _)| known == key);
        match (Tree::difference(files, wanted), known) {
            (Some(mut patch), Some(at)) => {
                if let Some(filled) = get(filled, key) {
                    patch.keep_variables(filled, &own[at].1);
                }
                own[at].1 = patch;
            }
            (Some(patch), None) => own.push((key.clone(), patch)),
            (None, Some(at)) => drop(own.remove(at)),
            (None, None) => {}
        }
    }
    let services = services.entries_mut();
    services.retain(|(_, changes)| !matches!(changes, Tree::Map(changes) if changes.is_empty()));
    (!services.is_empty()).then(|| format!("{HEADER}{}", root.to_yaml()))
}

/// The map below a key, made if it is not there.
fn child<'w>(parent: &'w mut Tree, key: &str) -> &'w mut Tree {
    let entries = parent.entries_mut();
    let at = entries.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        entries.push((key.to_owned(), Tree::Map(Vec::new())));
        entries.len() - 1
    });
    &mut entries[at].1
}
