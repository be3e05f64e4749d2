//! Which crate may depend on which: `src → control → proxy, mockd → net, config`.
//!
//! Read from the manifests, because a crate cannot use what its manifest does not name. A new
//! member has to be put into the table here, which is the moment to think about its place.

use crate::Tree;

/// Each member with those of our own crates that it may use.
const ALLOWED: [(&str, &[&str]); 10] = [
    (
        "servicestitch",
        &["stitch-config", "stitch-control", "stitch-mockd", "stitch-net", "stitch-proxy"],
    ),
    ("stitch-control", &["stitch-config", "stitch-mockd", "stitch-net", "stitch-proxy"]),
    ("stitch-proxy", &["stitch-config", "stitch-net"]),
    ("stitch-mockd", &["stitch-config", "stitch-net"]),
    ("stitch-net", &[]),
    ("stitch-config", &[]),
    ("stitch-kit", &[]),
    ("stitch-tidy", &[]),
    // What the product is measured by, and runs in front of, knows nothing of it.
    ("bench-hello", &[]),
    ("users", &[]),
];

/// Further examples, which are what `users` is.
const EXAMPLES: &str = "examples/";

/// Tests of any crate may use the harness.
const HARNESS: &str = "stitch-kit";

/// Findings about dependencies among our own crates.
#[must_use]
pub fn arrows(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for path in manifests(tree) {
        let Some(manifest) = tree.text(&path) else { continue };
        let name = package_name(manifest);
        let known = ALLOWED.iter().find(|(member, _)| *member == name);
        let allowed: &[&str] = match known {
            Some((_, allowed)) => allowed,
            None if path.starts_with(EXAMPLES) => &[],
            None => {
                found.push(format!("{path}: `{name}` is not in the table of tests/tidy"));
                continue;
            }
        };
        for (section, dependency) in own_dependencies(manifest) {
            let harness = dependency == HARNESS && section == "dev-dependencies";
            if !harness && !allowed.contains(&dependency) {
                found.push(format!("{path}: `{name}` must not depend on `{dependency}`"));
            }
        }
    }
    found
}

/// Findings about workspace members that do not exist.
#[must_use]
pub fn members(tree: &Tree) -> Vec<String> {
    let missing = |path: &String| tree.text(path).is_none();
    let manifests = manifests(tree).into_iter().filter(missing);
    manifests.map(|path| format!("Cargo.toml: the member's {path} does not exist")).collect()
}

/// The paths of the members, as the root manifest lists them.
pub(crate) fn member_paths(tree: &Tree) -> Vec<String> {
    let root = tree.text("Cargo.toml").unwrap_or_default();
    let list = root.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn manifests(tree: &Tree) -> Vec<String> {
    let members = member_paths(tree).into_iter().map(|path| format!("{path}/Cargo.toml"));
    std::iter::once("Cargo.toml".to_owned()).chain(members).collect()
}

fn package_name(manifest: &str) -> &str {
    let (_, name) = lines(manifest)
        .find(|(section, line)| *section == "package" && key(line) == "name")
        .unwrap_or_default();
    name.split('"').nth(1).unwrap_or_default()
}

/// Our own crates under any `…dependencies` section but the workspace's own list.
fn own_dependencies(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let counts =
        |section: &str| section.ends_with("dependencies") && !section.starts_with("workspace");
    lines(manifest)
        .filter(move |(section, line)| counts(section) && key(line).starts_with("stitch-"))
        .map(|(section, line)| (section, key(line)))
}

/// Every line with the section it stands in; `[dependencies.x]` counts as a line `x`.
fn lines(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    manifest.lines().map(move |line| {
        let line = line.trim();
        let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
            return (section, line);
        };
        section = header;
        match header.split_once("dependencies.") {
            Some((before, name)) => (&header[..before.len() + "dependencies".len()], name),
            None => (section, ""),
        }
    })
}

fn key(line: &str) -> &str {
    line.split(['=', '.', ' ']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nmembers = [\n  \"proxy\", \"examples/shop\",\n]\n\
                        [workspace.dependencies]\nstitch-mockd = { path = \"mockd\" }\n\
                        [package]\nname = \"servicestitch\"\n[dependencies]\n\
                        stitch-mockd.workspace = true\n";
    const SHOP: (&str, &str) = ("examples/shop/Cargo.toml", "[package]\nname = \"shop\"");

    fn of_proxy(dependencies: &str) -> Vec<String> {
        let proxy = format!("[package]\nname = \"stitch-proxy\"\n{dependencies}");
        arrows(&Tree::of(&[("Cargo.toml", ROOT), ("proxy/Cargo.toml", &proxy), SHOP]))
    }

    #[test]
    fn downward_arrows_and_other_crates_are_fine() {
        let fine = "[dependencies]\nstitch-net.workspace = true\ntokio = \"1\"\n\
                    [dev-dependencies]\nstitch-kit.workspace = true";
        assert!(of_proxy(fine).is_empty());
    }

    #[test]
    fn sideways_and_upward_arrows_are_found_in_every_form() {
        for wrong in [
            "[dependencies]\nstitch-mockd.workspace = true",
            "[dependencies]\nstitch-mockd = { path = \"../mockd\" }",
            "[dependencies.stitch-mockd]\npath = \"../mockd\"",
            "[dev-dependencies]\nstitch-mockd.workspace = true",
            "[target.'cfg(unix)'.dependencies]\nstitch-mockd.workspace = true",
        ] {
            let found = of_proxy(wrong);
            assert_eq!(found.len(), 1, "{wrong}: {found:?}");
            assert!(found[0].ends_with("`stitch-proxy` must not depend on `stitch-mockd`"));
        }
        assert_eq!(of_proxy("[dependencies]\nstitch-kit.workspace = true").len(), 1);
    }

    #[test]
    fn a_member_nobody_placed_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", ROOT),
            ("proxy/Cargo.toml", "[package]\nname = \"stitch-extra\""),
            SHOP,
        ]);
        assert_eq!(
            arrows(&tree),
            ["proxy/Cargo.toml: `stitch-extra` is not in the table of tests/tidy"]
        );
    }

    #[test]
    fn a_member_that_does_not_exist_is_found() {
        let tree = Tree::of(&[("Cargo.toml", ROOT), SHOP]);
        assert_eq!(members(&tree), ["Cargo.toml: the member's proxy/Cargo.toml does not exist"]);
        assert_eq!(member_paths(&tree), ["proxy", "examples/shop"]);
    }
}
