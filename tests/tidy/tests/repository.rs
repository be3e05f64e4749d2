//! Every check, applied to this repository.

use std::path::Path;
use stitch_tidy::Tree;

/// The checks read the whole repository, so an empty tree would mean that they looked elsewhere.
fn hold(check: fn(&Tree) -> Vec<String>) {
    let tree = Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .expect("the repository can be read");
    assert!(tree.exists("net/src/lib.rs") && tree.exists("tests/tidy"), "not the repository");
    let found = check(&tree);
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

macro_rules! rules {
    ($($name:ident),+ $(,)?) => { $(
        #[test]
        fn $name() {
            hold(stitch_tidy::$name);
        }
    )+ };
}

rules! {
    architecture, arrows, changelog, clocks, examples, headers, ignored, lengths, links,
    machine_paths, members, sleeps, tables_of_contents, unfinished, unwraps,
}
