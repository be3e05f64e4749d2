//! The fingerprint of a load: every kind of change, and what is none.

use super::env;
use super::include::Folder;
use std::fs;
use stitch_config::load;
use stitch_config::watch::Fingerprint;

const MAIN: &str = "include: [parts/*.yaml, late.yaml]\n\
    proxy: { tls: { cert: tls.crt, key: tls.key } }\n\
    services: { a: { endpoints: [{ path: /, response: { file: body.json } }] } }\n";

#[test]
fn each_kind_of_change_is_seen() {
    type Change = fn(&Folder);
    let changes: [(&str, Change); 9] = [
        ("other text of the same length", |folder| {
            folder.write("main.yaml", MAIN.replace("path: /", "path: X"));
        }),
        ("replaced by renaming", |folder| {
            let new = folder.write("new", MAIN.to_owned() + "# more");
            fs::rename(new, folder.0.join("main.yaml")).unwrap();
        }),
        ("removed", |folder| fs::remove_file(folder.0.join("main.yaml")).unwrap()),
        ("a part changed", |folder| drop(folder.write("parts/a.yaml", "vars: { b: 1 }"))),
        ("a part more", |folder| drop(folder.write("parts/b.yaml", "vars: { b: 1 }"))),
        ("a part less", |folder| fs::remove_file(folder.0.join("parts/a.yaml")).unwrap()),
        ("a missing file arrived", |folder| drop(folder.write("late.yaml", "vars: { b: 1 }"))),
        ("a certificate was renewed", |folder| drop(folder.write("tls.crt", "new"))),
        ("a response file changed", |folder| drop(folder.write("body.json", "[]"))),
    ];
    for (index, (what, change)) in changes.into_iter().enumerate() {
        let folder = Folder::new(&format!("watch-{index}"));
        let main = folder.write("main.yaml", MAIN);
        folder.write("parts/a.yaml", "vars: { a: 1 }");
        folder.write("body.json", "{}");
        let fingerprint = Fingerprint::take(&load(&main, &env));
        assert!(!fingerprint.changed(), "before: {what}");
        change(&folder);
        assert!(fingerprint.changed(), "{what}");
    }
}

#[test]
fn the_same_bytes_again_are_no_change() {
    let folder = Folder::new("watch-same");
    let main = folder.write("main.yaml", MAIN.to_owned() + &"# long\n".repeat(20_000));
    let fingerprint = Fingerprint::take(&load(&main, &env));
    let new = folder.write("new", fs::read(&main).unwrap());
    fs::rename(new, &main).unwrap();
    assert!(!fingerprint.changed());
}

#[test]
fn a_save_between_load_and_fingerprint_is_not_lost() {
    let folder = Folder::new("watch-race");
    let main = folder.write("main.yaml", MAIN);
    let loaded = load(&main, &env);
    folder.write("main.yaml", MAIN.to_owned() + "# more");
    assert!(Fingerprint::take(&loaded).changed());
}

#[test]
fn a_missing_file_is_waited_for() {
    let folder = Folder::new("watch-missing");
    let main = folder.0.join("main.yaml");
    let fingerprint = Fingerprint::take(&load(&main, &env));
    assert!(!fingerprint.changed());
    folder.write("main.yaml", MAIN);
    assert!(fingerprint.changed());
}
