//! `include`: order, diamonds, limits, and files that cannot be read.

use super::env;
use std::fs;
use std::path::PathBuf;
use stitch_config::load;

/// A directory of its own for one test, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("stitch-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn service(name: &str) -> String {
    format!("services: {{ {name}: {{ url: http://localhost:1 }} }}\n")
}

#[test]
fn included_files_follow_in_order_and_each_is_read_once() {
    let folder = Folder::new("order");
    let main = folder.write(
        "main.yaml",
        "include: [b.yaml, '[a-z].yaml', '?.yaml']\n".to_owned() + &service("main"),
    );
    folder.write("a.yaml", "include: c.yaml\n".to_owned() + &service("a"));
    folder.write("b.yaml", "include: c.yaml\n".to_owned() + &service("b"));
    folder.write("c.yaml", service("c"));
    let loaded = load(&main, &env);
    let report = loaded.report.render(&loaded.sources);
    assert_eq!(loaded.report.errors(), 1, "{report}");
    assert!(report.contains("[a-z].yaml does not exist"), "{report}");
    let names: Vec<_> = loaded.config.services.iter().map(|service| &*service.name).collect();
    assert_eq!(names, ["main", "b", "c", "a"]);
}

#[test]
fn a_pattern_that_matches_its_own_file_skips_it() {
    let folder = Folder::new("own");
    let main = folder.write("main.yaml", "include: '*.yaml'\n".to_owned() + &service("main"));
    folder.write("other.yaml", service("other"));
    let loaded = load(&main, &env);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    assert_eq!(loaded.config.services.len(), 2);
}

#[test]
fn files_that_cannot_be_read_are_problems() {
    let folder = Folder::new("unreadable");
    let missing = load(&folder.0.join("nope.yaml"), &env);
    let report = missing.report.render(&missing.sources);
    assert!(report.contains("nope.yaml does not exist"), "{report}");
    assert_eq!(missing.config.proxy.listen.len(), 1, "defaults stand in");

    let binary = load(&folder.write("binary.yaml", [0xff, 0xfe, 0x00]), &env);
    assert!(binary.report.render(&binary.sources).contains("not UTF-8"));

    let large = load(&folder.write("large.yaml", "#".repeat((8 << 20) + 1)), &env);
    assert!(large.report.render(&large.sources).contains("larger than 8 MiB"));
}

#[test]
fn paths_start_at_the_file_that_names_them() {
    let folder = Folder::new("relative");
    let main = folder.write("main.yaml", "include: deep/part.yaml\n");
    folder.write(
        "deep/part.yaml",
        "services: { a: { url: http://localhost:1, command: run, endpoints: [{ path: /, response: { file: b.json } }] } }",
    );
    let loaded = load(&main, &env);
    let service = loaded.config.service("a").unwrap();
    assert_eq!(service.command.as_ref().unwrap().directory, folder.0.join("deep"));
    let body = format!("{:?}", service.endpoints[0].response.body);
    assert!(body.contains("deep/b.json"), "{body}");
}
