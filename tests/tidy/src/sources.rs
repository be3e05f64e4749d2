//! Rules for Rust files: headers, lengths, contents of mod.rs, and what code must not hold.

use crate::Tree;
use crate::code::{code_only, without_tests};

/// A file that needs more has two subjects.
const LINES: usize = 600;

/// Spelled in two halves, so that this file does not find itself.
const LOOSE_ENDS: [&str; 3] = [concat!("FIX", "ME"), "todo!", "unimplemented!"];

/// Every Rust file says what it is for.
#[must_use]
pub fn headers(tree: &Tree) -> Vec<String> {
    let bare = tree.rust().filter(|(_, text)| !text.starts_with("//!"));
    bare.map(|(path, _)| format!("{path}:1: does not start with a //! header")).collect()
}

/// No Rust file is longer than 600 lines.
#[must_use]
pub fn lengths(tree: &Tree) -> Vec<String> {
    let counted = tree.rust().map(|(path, text)| (path, text.lines().count()));
    let long = counted.filter(|(_, count)| *count > LINES);
    long.map(|(path, count)| format!("{path}: {count} lines, more than {LINES}")).collect()
}

/// A mod.rs holds documentation, `mod` and `use`, nothing else.
#[must_use]
pub fn tables_of_contents(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.ends_with("/mod.rs")) {
        let code = without_attributes(&code_only(text));
        let mut items: Vec<&str> = code.split(';').map(str::trim).collect();
        // What stands behind the last semicolon is no item that ends in one.
        let rest = items.pop().unwrap_or_default();
        let wrong = items.into_iter().find(|item| !is_mod_or_use(item));
        if let Some(item) = wrong.or(Some(rest).filter(|rest| !rest.is_empty())) {
            let first = item.lines().next().unwrap_or_default();
            found.push(format!("{path}: holds more than `mod` and `use`: {first}"));
        }
    }
    found
}

fn is_mod_or_use(item: &str) -> bool {
    let item = item.strip_prefix("pub").map_or(item, |rest| {
        let rest = rest.trim_start();
        let inner = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        inner.map_or(rest, |(_, rest)| rest).trim_start()
    });
    item.starts_with("use ") || (item.starts_with("mod ") && !item.contains('{'))
}

fn without_attributes(code: &str) -> String {
    let mut left = String::new();
    let mut depth = 0usize;
    let mut chars = code.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '#' if depth == 0 && matches!(chars.peek(), Some('[' | '!')) => {
                chars.next_if_eq(&'!');
                chars.next_if_eq(&'[');
                depth = 1;
            }
            '[' if depth > 0 => depth += 1,
            ']' if depth > 0 => depth -= 1,
            other if depth == 0 => left.push(other),
            _ => {}
        }
    }
    left
}

/// No `.unwrap()` outside tests: an invariant is stated with `expect`, all else is an error. A
/// file is a test's by its name (`…_tests.rs`) or by how it is declared.
#[must_use]
pub fn unwraps(tree: &Tree) -> Vec<String> {
    let tests = test_modules(tree);
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| in_source_folder(path)) {
        let of_tests = |module: &String| {
            let rest = path.strip_prefix(module.as_str()).unwrap_or_default();
            rest == ".rs" || rest.starts_with('/')
        };
        if !path.ends_with("_tests.rs") && !tests.iter().any(of_tests) {
            found.extend(find(path, &without_tests(&code_only(text)), ".unwrap()"));
        }
    }
    found
}

fn in_source_folder(path: &str) -> bool {
    path.starts_with("src/") || path.contains("/src/")
}

/// Where the modules live that are declared as `#[cfg(test)] mod name;`, without their ending.
fn test_modules(tree: &Tree) -> Vec<String> {
    let mut modules = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| in_source_folder(path)) {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = match file {
            "mod.rs" | "lib.rs" | "main.rs" => folder,
            _ => path.trim_end_matches(".rs"),
        };
        let code = code_only(text);
        for after in code.split("#[cfg(test)]").skip(1) {
            let name = after.trim_start().strip_prefix("mod ").and_then(|rest| {
                rest.split_once(';').map(|(name, _)| name).filter(|name| !name.contains('{'))
            });
            modules.extend(name.map(|name| format!("{folder}/{}", name.trim())));
        }
    }
    modules
}

/// Nothing is left unfinished.
#[must_use]
pub fn unfinished(tree: &Tree) -> Vec<String> {
    let [fixme, macros @ ..] = LOOSE_ENDS;
    let mut found = Vec::new();
    for (path, text) in tree.rust() {
        found.extend(find(path, text, fixme));
        let code = code_only(text);
        found.extend(macros.iter().flat_map(|name| find(path, &code, name)));
    }
    found
}

/// Policies are told the time.
#[must_use]
pub fn clocks(tree: &Tree) -> Vec<String> {
    within(tree, "proxy/src/policy", &["Instant::now", "SystemTime::now"])
}

/// Tests wait for conditions, never for a while.
#[must_use]
pub fn sleeps(tree: &Tree) -> Vec<String> {
    within(tree, "tests/it", &["sleep(", "sleep_ms("])
}

/// An ignored test says why.
#[must_use]
pub fn ignored(tree: &Tree) -> Vec<String> {
    tree.rust().flat_map(|(path, text)| find(path, &code_only(text), "#[ignore]")).collect()
}

fn within(tree: &Tree, folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with(folder)) {
        let code = code_only(text);
        found.extend(words.iter().flat_map(|word| find(path, &code, word)));
    }
    found
}

/// One finding per line that holds the word.
fn find(path: &str, text: &str, word: &str) -> Vec<String> {
    let hits = text.lines().enumerate().filter(|(_, line)| line.contains(word));
    hits.map(|(number, _)| format!("{path}:{}: holds `{word}`", number + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, text: &str) -> Tree {
        Tree::of(&[(path, text)])
    }

    #[test]
    fn a_missing_header_is_found() {
        assert!(headers(&one("a.rs", "//! What it is.\n")).is_empty());
        assert_eq!(headers(&one("a.rs", "use x;")), ["a.rs:1: does not start with a //! header"]);
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(lengths(&one("a.rs", &"\n".repeat(600))).is_empty());
        assert_eq!(lengths(&one("a.rs", &"\n".repeat(601))), ["a.rs: 601 lines, more than 600"]);
    }

    #[test]
    fn a_mod_file_with_logic_is_found() {
        let fine = "//! Contents; fn no.\n#![cfg(unix)]\n#[cfg(test)]\nmod a;\npub(crate) mod b;\n\
                    pub use b::{\n    c,\n    d,\n};\npub(in crate::x) use e::*;\n";
        let found = tables_of_contents(&one("x/mod.rs", fine));
        assert!(found.is_empty(), "{found:?}");
        for wrong in [
            "fn f() { g(); }",
            "mod a { }",
            "mod a { fn f() { g(); } }",
            "const A: u8 = 1;",
            "mod a;\nstruct B;",
            "mod a;\nstruct B {}",
        ] {
            assert!(!tables_of_contents(&one("x/mod.rs", wrong)).is_empty(), "{wrong}");
            assert!(tables_of_contents(&one("x/other.rs", wrong)).is_empty());
        }
    }

    #[test]
    fn an_unwrap_in_product_code_is_found() {
        let text = "fn a() { b().unwrap(); }\n// .unwrap()\nlet c = \".unwrap()\";\n\
                    #[cfg(test)]\nmod tests { fn d() { e().unwrap() } }\n";
        assert_eq!(unwraps(&one("proxy/src/a.rs", text)), ["proxy/src/a.rs:1: holds `.unwrap()`"]);
        assert_eq!(unwraps(&one("src/main.rs", text)).len(), 1);
        assert!(unwraps(&one("tests/it/a.rs", text)).is_empty());
    }

    #[test]
    fn the_files_of_test_modules_are_tests() {
        let root = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod fakes;\nmod real;\n";
        let tree = Tree::of(&[
            ("x/src/lib.rs", root),
            ("x/src/tests.rs", "a.unwrap()"),
            ("x/src/fakes/mod.rs", "a.unwrap()"),
            ("x/src/real.rs", "#[cfg(test)] mod tests;"),
            ("x/src/real/tests.rs", "a.unwrap()"),
            ("x/src/real_tests.rs", "a.unwrap()"),
            ("x/src/testsuite.rs", "a.unwrap()"),
        ]);
        assert_eq!(unwraps(&tree), ["x/src/testsuite.rs:1: holds `.unwrap()`"]);
    }

    #[test]
    fn loose_ends_are_found() {
        let text = format!(
            "// {}: later\nfn a() {{ todo!() }}\nfn b() {{ unimplemented!() }}\n\
                            // a todo! in a comment\n",
            LOOSE_ENDS[0]
        );
        assert_eq!(unfinished(&one("a.rs", &text)).len(), 3);
        assert!(unfinished(&one("a.md", &text)).is_empty());
    }

    #[test]
    fn a_clock_in_a_policy_is_found() {
        let text = "let a = Instant::now();\nlet b = SystemTime::now();\n// Instant::now\n";
        assert_eq!(clocks(&one("proxy/src/policy/a.rs", text)).len(), 2);
        assert!(clocks(&one("proxy/src/flow.rs", text)).is_empty());
    }

    #[test]
    fn a_sleep_in_a_test_is_found() {
        let text = "std::thread::sleep(x);\ntokio::time::sleep(y).await;\n";
        assert_eq!(sleeps(&one("tests/it/a.rs", text)).len(), 2);
        assert!(sleeps(&one("tests/kit/src/wait.rs", text)).is_empty());
    }

    #[test]
    fn a_bare_ignore_is_found() {
        let text = "#[ignore = \"needs a printer\"]\nfn a() {}\n#[ignore]\nfn b() {}\n";
        assert_eq!(ignored(&one("a.rs", text)).len(), 1);
    }
}
