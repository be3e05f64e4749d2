//! `*` and `?` in file names, for `include`.
//!
//! A pattern may hold wildcards in any component; names that start with a dot are matched only when
//! the pattern writes the dot. Results are sorted, so that a load does not depend on the disk.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// How many directory entries one pattern may look at.
const MAX_ENTRIES: usize = 10_000;

/// Whether the path holds a wildcard.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?'])
}

/// The files that match, sorted.
pub(crate) fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    let mut budget = MAX_ENTRIES;
    for component in pattern.components() {
        found = match component {
            Component::Normal(name) if is_pattern(Path::new(name)) => {
                let name = name.to_string_lossy();
                found.iter().flat_map(|parent| children(parent, &name, &mut budget)).collect()
            }
            other => {
                let mut found = found;
                found.iter_mut().for_each(|path| path.push(other));
                found
            }
        };
    }
    found.retain(|path| path.is_file());
    found.sort();
    found
}

fn children(parent: &Path, pattern: &str, budget: &mut usize) -> Vec<PathBuf> {
    let directory = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut matching = Vec::new();
    for entry in entries.flatten().take(*budget) {
        *budget -= 1;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if (!text.starts_with('.') || pattern.starts_with('.')) && matches(pattern, &text) {
            matching.push(parent.join(&name));
        }
    }
    matching
}

/// `*` stands for any characters, `?` for one. Linear in the name for each star: only the last star
/// is ever reconsidered.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    let mut star = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((star_at, star_seen)) = star else { return false };
                star = Some((star_at, star_seen + 1));
                at = star_at + 1;
                seen = star_seen + 1;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, hit) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?.yaml", "ä.yaml", true),
            ("?", "", false),
            ("*", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, name), hit, "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_found_in_order_and_directories_are_not() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = expand(&fixtures.join("src/*/mod.rs"));
        assert!(found.len() > 3 && found.is_sorted(), "{found:?}");
        assert!(expand(&fixtures.join("sr?")).is_empty());
        assert!(expand(&fixtures.join("nope/*.rs")).is_empty());
        assert_eq!(expand(Path::new("src/gl*b.rs")), [PathBuf::from("src/glob.rs")]);
    }
}
