//! Rules for what people read: paths and links that hold, examples that explain themselves.

use crate::Tree;
use crate::arrows::member_paths;

/// Folders of somebody's machine, in two halves so that this file does not find itself.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Names with these endings are files of ours wherever they stand in backticks.
const FILE_ENDINGS: [&str; 3] = [".rs", ".toml", ".md"];

/// Every path in backticks in ARCHITECTURE.md exists, and every member's folder is named in it.
/// A path may start at the root or anywhere below it (`flow.rs`, `policy/`).
#[must_use]
pub fn architecture(tree: &Tree) -> Vec<String> {
    const PAGE: &str = "ARCHITECTURE.md";
    let Some(text) = tree.text(PAGE) else { return Vec::new() };
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted.filter(|word| names_path(tree, word) && !exists_below(tree, word)) {
            found.push(format!("{PAGE}:{}: `{path}` does not exist", number + 1));
        }
    }
    for member in member_paths(tree) {
        let top = member.split('/').next().unwrap_or_default();
        if !text.contains(&format!("{top}/")) {
            found.push(format!("{PAGE}: does not name `{top}/` of the member {member}"));
        }
    }
    found
}

/// Whether a quoted word is meant as a path of this repository (`text/plain` is not).
fn names_path(tree: &Tree, word: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "_-./".contains(char);
    if word.len() < 2 || word.starts_with('/') || !word.chars().all(plain) {
        return false;
    }
    let top = word.split('/').next().unwrap_or_default();
    word.ends_with('/')
        || FILE_ENDINGS.iter().any(|ending| word.ends_with(ending))
        || (word.contains('/') && tree.exists(top))
}

fn exists_below(tree: &Tree, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let (ends, holds) = (format!("/{path}"), format!("/{path}/"));
    tree.exists(path) || tree.paths().any(|file| file.ends_with(&ends) || file.contains(&holds))
}

/// Every relative link in a Markdown file leads somewhere.
#[must_use]
pub fn links(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let targets = targets(line).into_iter().filter(|_| !fenced);
            for target in targets.filter(|target| !resolves(tree, path, target)) {
                found.push(format!("{path}:{}: the link to {target} leads nowhere", number + 1));
            }
        }
    }
    found
}

/// What stands in the round brackets of `[text](target)`, outside of `code`.
fn targets(line: &str) -> Vec<&str> {
    let prose = line.split('`').step_by(2);
    let starts = prose.flat_map(|prose| prose.split("](").skip(1));
    starts.filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

fn resolves(tree: &Tree, page: &str, target: &str) -> bool {
    let file = target.split('#').next().unwrap_or_default();
    if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let mut parts: Vec<&str> = match file.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => page.split('/').collect(),
    };
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            name => parts.push(name),
        }
    }
    tree.exists(&parts.join("/"))
}

/// Every folder of examples/ with a stitch.yaml explains itself.
#[must_use]
pub fn examples(tree: &Tree) -> Vec<String> {
    let folders = tree.paths().filter_map(|path| path.strip_suffix("/stitch.yaml"));
    let bare = folders.filter(|folder| {
        folder.starts_with("examples/") && tree.text(&format!("{folder}/README.md")).is_none()
    });
    bare.map(|folder| format!("{folder}: has a stitch.yaml and no README.md")).collect()
}

/// There is a changelog.
#[must_use]
pub fn changelog(tree: &Tree) -> Vec<String> {
    match tree.text("CHANGELOG.md") {
        None => vec!["CHANGELOG.md: does not exist".to_owned()],
        Some(text) if text.starts_with("# Changelog") => Vec::new(),
        Some(_) => vec!["CHANGELOG.md:1: does not start with `# Changelog`".to_owned()],
    }
}

/// No file names a folder of somebody's machine.
#[must_use]
pub fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.texts() {
        for (number, line) in text.lines().enumerate() {
            for folder in MACHINE_PATHS.iter().filter(|folder| holds_absolute(line, folder)) {
                found.push(format!("{path}:{}: names the machine path {folder}", number + 1));
            }
        }
    }
    found
}

/// Whether the line holds `folder` as the start of a path, not as its middle.
fn holds_absolute(line: &str, folder: &str) -> bool {
    let inside = |char: char| char.is_alphanumeric() || "_-.~*}/".contains(char);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: (&str, &str) = ("Cargo.toml", "members = [\"net\"]");

    #[test]
    fn a_path_that_the_architecture_invents_is_found() {
        let page = "`net/`, `net/src/lib.rs`, `lib.rs`, `src/`, `text/plain`, `a b/`, `/api/*`\n\
                    `gone/`, `net/gone`, `gone.rs`\n";
        let files = [ROOT, ("net/src/lib.rs", ""), ("ARCHITECTURE.md", page)];
        let found = architecture(&Tree::of(&files));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|one| one.starts_with("ARCHITECTURE.md:2: `")));
        assert!(architecture(&Tree::of(&[ROOT])).is_empty(), "there is no page yet");
    }

    #[test]
    fn a_member_that_the_architecture_forgets_is_found() {
        let found = architecture(&Tree::of(&[ROOT, ("ARCHITECTURE.md", "nothing")]));
        assert_eq!(found, ["ARCHITECTURE.md: does not name `net/` of the member net"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "[a](b.md) [c](../README.md#top) [d](https://x/y) [e](#here) [f](/docs) [g](.)\n\
                    `[no](link.md)`\n```\n[no](link.md)\n```\n\
                    [h](gone.md) and [i](../../out.md)\n";
        let tree = Tree::of(&[("docs/a.md", page), ("docs/b.md", ""), ("README.md", "")]);
        let found = links(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "docs/a.md:6: the link to gone.md leads nowhere");
    }

    #[test]
    fn an_example_without_explanation_is_found() {
        let files = [
            ("examples/a/stitch.yaml", ""),
            ("examples/a/README.md", ""),
            ("examples/b/stitch.yaml", ""),
            ("fixtures/c/stitch.yaml", ""),
        ];
        assert_eq!(examples(&Tree::of(&files)), ["examples/b: has a stitch.yaml and no README.md"]);
    }

    #[test]
    fn a_changelog_is_asked_for() {
        assert!(changelog(&Tree::of(&[("CHANGELOG.md", "# Changelog\n")])).is_empty());
        assert_eq!(changelog(&Tree::of(&[("CHANGELOG.md", "News")])).len(), 1);
        assert_eq!(changelog(&Tree::default()).len(), 1);
    }

    #[test]
    fn a_machine_path_is_found_but_not_the_middle_of_another() {
        let [first, second, third] = MACHINE_PATHS;
        let text = format!("cd {first}x\n\"{second}y\"\nhttp://x{third}z ~{second} a{first}\n");
        let found = machine_paths(&Tree::of(&[("a.md", &text)]));
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
