//! Processes under test: `sh` stands in for every program.

use super::*;
use crate::scratch::Scratch;
use crate::wait::wait_until;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

fn sh(script: &str) -> Run {
    Run::tool("sh").args(["-c", script])
}

fn message_of(action: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(action)).expect_err("this must panic");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
}

#[test]
fn output_holds_both_streams_and_the_code() {
    let output = sh("echo out; echo err >&2; exit 3").output();
    assert_eq!(output.code(), 3);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn success_shows_what_went_wrong() {
    let _ = sh("true").output().success();
    let message = message_of(|| {
        let _ = sh("echo the cause >&2; exit 1").output().success();
    });
    assert!(message.contains("the cause"), "{message}");
}

#[test]
fn a_signal_is_not_a_code() {
    let output = sh("kill -9 $$").output();
    assert_eq!(output.exit, Exit::Signal(9));
    assert!(message_of(|| _ = output.code()).contains("signal 9"));
}

#[test]
fn environment_and_folder_are_passed() {
    let scratch = Scratch::new();
    let output = sh("echo $COLOUR; pwd").env("COLOUR", "green").cwd(scratch.path()).output();
    assert_eq!(output.stdout, format!("green\n{}\n", scratch.path().display()));
}

#[test]
fn a_command_that_hangs_is_ended() {
    let message = message_of(|| drop(sh("sleep 60").limit(Duration::from_millis(50)).output()));
    assert!(message.contains("did not end within 50ms"), "{message}");
}

#[test]
fn a_drop_ends_the_whole_group() {
    let running = sh("sleep 60 & echo $!; wait").spawn();
    let grandchild: u32 = running.pick_stdout(|line| line.parse().ok());
    let child = running.id();
    assert!(alive(child) && alive(grandchild));
    drop(running);
    assert!(wait_until(Duration::from_secs(5), || !alive(child) && !alive(grandchild)));
}

#[test]
fn an_unnoticed_end_surfaces() {
    let running = sh("echo boom >&2; exit 7").spawn();
    running.wait_for_stderr(|line| line == "boom");
    assert!(wait_until(Duration::from_secs(5), || running.exited() == Some(Exit::Code(7))));
    let message = message_of(|| drop(running));
    assert!(message.contains("ended unnoticed (Code(7))") && message.contains("boom"), "{message}");
}

#[test]
fn an_end_that_was_asked_for_is_no_failure() {
    let running =
        sh("trap 'exit 5' TERM; echo '{\"ready\":1}'; while :; do sleep 0.01; done").spawn();
    assert_eq!(running.wait_for_stdout(|line| line["ready"] == 1)["ready"], 1);
    running.signal(Signal::TERM);
    assert_eq!(running.wait_exit(), Exit::Code(5));
    assert_eq!(running.stdout_lines().len(), 1);
}

#[test]
fn waiting_for_a_line_of_a_dead_process_fails_early_with_its_stderr() {
    let running = sh("echo cannot bind >&2; exit 3").spawn();
    let message = message_of(|| drop(running.wait_for_stdout(|_| true)));
    assert!(message.contains("Code(3)") && message.contains("cannot bind"), "{message}");
}

#[test]
fn a_limit_that_passes_leaves_it_running() {
    let running = sh("sleep 60").spawn();
    assert_eq!(running.wait_exit_within(Duration::from_millis(20)), None);
    running.stop();
    assert_eq!(running.exited(), Some(Exit::Signal(15)));
}

#[test]
fn proxy_variables_do_not_reach_programs() {
    let output = sh("env").output().success();
    assert!(!output.stdout.to_lowercase().contains("http_proxy="));
}
