//! `drive` against a compose tool that is a shell script and writes down what it is asked.

use super::super::testing::Scratch;
use super::*;

/// A script that logs its arguments to `log` beside it and then runs `body`. It is given to `sh`
/// and not made executable: another test may be starting a process while it is still being written.
fn fake(scratch: &Scratch, name: &str, body: &str) -> String {
    let log = scratch.path().join("log");
    let text = format!("echo \"$*\" >>'{}'\n{body}\n", log.display());
    scratch.file(name, &text).display().to_string()
}

fn log(scratch: &Scratch) -> Vec<String> {
    let log = std::fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

fn tool(path: &str) -> Tool {
    Tool { ready_tries: 1, ready_pause: Duration::ZERO, ..Tool::new(&["sh", path]) }
}

fn generated(yaml: &str) -> Generated {
    Generated { yaml: yaml.to_owned(), warnings: Vec::new(), published: Vec::new() }
}

#[test]
fn the_first_tool_that_answers_is_taken() {
    let scratch = Scratch::new("find");
    let refuses = fake(&scratch, "docker", "exit 1");
    let answers = fake(&scratch, "docker-compose", "exit 0");
    let found = Tool::first_that_answers(&[
        &["/nowhere/docker"],
        &["sh", &refuses, "compose"],
        &["sh", &answers],
    ]);
    assert_eq!(found.unwrap(), Tool::new(&["sh", &answers]));
    assert_eq!(log(&scratch), ["compose version", "version"]);
}

#[test]
fn without_any_tool_the_error_says_what_to_install() {
    let error = Tool::first_that_answers(&[&["/nowhere/docker", "compose"]]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("neither `docker compose` nor `docker-compose`"), "{text}");
    assert!(text.contains("apt-get install"), "{text}");
}

#[test]
fn up_starts_and_asks_until_ready() {
    let scratch = Scratch::new("up");
    let tool = tool(&fake(&scratch, "compose", "exit 0"));
    up(&tool, Path::new("f.yml"), false).unwrap();
    up(&tool, Path::new("f.yml"), true).unwrap();
    let health = "--file f.yml exec -T stitch stitch health";
    assert_eq!(
        log(&scratch),
        ["--file f.yml up --detach", health, "--file f.yml up --detach --build", health]
    );
}

#[test]
fn a_container_that_is_slow_to_answer_is_asked_again() {
    let scratch = Scratch::new("slow");
    let body = "case $3 in\nexec) mkdir \"$0.once\" 2>/dev/null && exit 1;;\n\
                ps) echo nats; echo stitch;;\nesac\nexit 0";
    let tool = Tool { ready_tries: 3, ..tool(&fake(&scratch, "compose", body)) };
    up(&tool, Path::new("f.yml"), false).unwrap();
    let asked: Vec<_> = log(&scratch).iter().map(|line| line[13..].to_owned()).collect();
    let health = "exec -T stitch stitch health";
    assert_eq!(asked, ["up --detach", health, "ps --services --filter status=running", health]);
}

#[test]
fn a_container_that_is_gone_is_shown_at_once() {
    let scratch = Scratch::new("gone");
    let body = "case $3 in exec) exit 1;; ps) echo stitch-real;; esac";
    let tool = Tool { ready_tries: 3, ..tool(&fake(&scratch, "compose", body)) };
    let error = up(&tool, Path::new("f.yml"), false).unwrap_err();
    assert!(matches!(error, ComposeError::NotReady), "{error}");
    assert!(error.to_string().contains("did not become ready"));
    assert_eq!(log(&scratch).len(), 4);
    assert_eq!(log(&scratch)[3], "--file f.yml logs --tail 50 stitch");
}

#[test]
fn a_container_that_never_answers_is_shown_too() {
    let scratch = Scratch::new("unready");
    let tool = tool(&fake(&scratch, "compose", "case $3 in exec) exit 1;; esac"));
    let error = up(&tool, Path::new("f.yml"), false).unwrap_err();
    assert!(matches!(error, ComposeError::NotReady), "{error}");
    assert_eq!(log(&scratch).last().unwrap(), "--file f.yml logs --tail 50 stitch");
}

#[test]
fn failures_name_the_command() {
    let scratch = Scratch::new("fail");
    let error = up(&tool(&fake(&scratch, "compose", "exit 3")), Path::new("f.yml"), false);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("compose up --detach` failed (exit status: 3)"), "{text}");
    let error = Tool::new(&["/nowhere/compose"]).run(Path::new("f.yml"), &["down"]).unwrap_err();
    assert!(error.to_string().starts_with("cannot run `/nowhere/compose down`: "), "{error}");
}

#[test]
fn down_needs_a_generated_file() {
    let scratch = Scratch::new("down");
    let tool = tool(&fake(&scratch, "compose", "exit 0"));
    let file = scratch.path().join(FILE_NAME);
    let error = down(&tool, &file).unwrap_err().to_string();
    assert!(error.starts_with("no ") && error.contains("stitch up --compose"), "{error}");
    assert!(log(&scratch).is_empty());
    let written = write(&generated("services: {}\n"), scratch.path()).unwrap();
    assert_eq!(written, file);
    down(&tool, &file).unwrap();
    assert_eq!(log(&scratch), [format!("--file {} down", file.display())]);
}

#[test]
fn the_file_is_replaced_whole_and_no_draft_is_left() {
    let scratch = Scratch::new("write");
    write(&generated("one"), scratch.path()).unwrap();
    let path = write(&generated("two"), scratch.path()).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "two");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    let error = write(&generated(""), &scratch.path().join("absent")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
}
