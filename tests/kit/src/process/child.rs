//! A running process: its own group, its output captured, its end observed.
//!
//! Its end is only looked at (`waitid` without reaping) until the handle is dropped. The id of a
//! process that was not reaped cannot be given to another, so the final kill of the group reaches
//! exactly what was started here. The leader gets a polite signal first, because a process that is
//! killed outright writes no coverage and shows no bug in its own shutdown.

use super::output::Capture;
use crate::wait::wait_until;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use rustix::process::Signal;

/// What a process gets to end by itself when its handle is dropped.
const GRACE: Duration = Duration::from_secs(2);

/// What a test waits at most for something a running process should do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A running process; dropping it ends it and everything in its process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Capture,
    stderr: Capture,
    exit: OnceLock<Exit>,
    /// The test knows that it ends (it asked for that, or waited for it): not a failure.
    end_expected: AtomicBool,
}

impl Process {
    /// Starts `command` in a process group of its own with both outputs captured.
    #[track_caller]
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        use std::os::unix::process::CommandExt;
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start `{name}`: {error}"));
        let stdout = Capture::of(child.stdout.take().expect("stdout was asked to be a pipe"));
        let stderr = Capture::of(child.stderr.take().expect("stderr was asked to be a pipe"));
        Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
            exit: OnceLock::new(),
            end_expected: AtomicBool::new(false),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had, in KiB.
    ///
    /// # Panics
    /// When it has ended.
    #[track_caller]
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok());
        peak.unwrap_or_else(|| panic!("no VmHWM in {path}: `{}` has ended", self.name))
    }

    /// Sends it (not its group) a signal. From here on its end is no surprise.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.end_expected.store(true, Ordering::Relaxed);
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal `{}`: {error}", self.name));
    }

    /// How it ended, when it has.
    pub fn exited(&self) -> Option<Exit> {
        if self.exit.get().is_none() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            // An error would mean that somebody else reaped it, which nobody here does.
            if let Ok(Some(status)) = waitid(WaitId::Pid(self.pid()), options) {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, signal) => Exit::Signal(signal.unwrap_or_default()),
                };
                let _ = self.exit.set(exit);
            }
        }
        self.exit.get().copied()
    }

    /// Waits for its end and for the last of its output.
    #[track_caller]
    pub fn wait_exit(&self) -> Exit {
        self.wait_exit_within(PATIENCE)
            .unwrap_or_else(|| panic!("`{}` did not end within {PATIENCE:?}", self.name))
    }

    /// As [`Process::wait_exit`], but a process still running at the limit is `None`.
    pub fn wait_exit_within(&self, limit: Duration) -> Option<Exit> {
        self.end_expected.store(true, Ordering::Relaxed);
        if !wait_until(limit, || self.exited().is_some()) {
            return None;
        }
        self.settle_output();
        self.exited()
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The lines of standard output so far.
    #[must_use]
    pub fn stdout_lines(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// The first line of standard output, old or new, that is JSON and that `accept` takes.
    #[track_caller]
    pub fn wait_for_stdout(&self, mut accept: impl FnMut(&Value) -> bool) -> Value {
        self.wait_for(&self.stdout, "line on stdout", |line| {
            serde_json::from_str(line).ok().filter(|value| accept(value))
        })
    }

    /// The first line of standard error, old or new, that `accept` takes.
    #[track_caller]
    pub fn wait_for_stderr(&self, mut accept: impl FnMut(&str) -> bool) -> String {
        self.wait_for(&self.stderr, "line on stderr", |line| accept(line).then(|| line.to_owned()))
    }

    /// The first line of standard output from which `pick` makes something.
    #[track_caller]
    pub fn pick_stdout<T>(&self, pick: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_for(&self.stdout, "line on stdout", pick)
    }

    #[track_caller]
    fn wait_for<T>(&self, stream: &Capture, what: &str, pick: impl FnMut(&str) -> Option<T>) -> T {
        match stream.find(PATIENCE, pick) {
            Ok(found) => found,
            Err(ended) => {
                // Both streams close as it goes; its exit and stderr say why.
                wait_until(GRACE, || !ended || self.exited().is_some());
                let how = self.exited();
                self.end_expected.store(true, Ordering::Relaxed);
                match how {
                    Some(exit) => {
                        self.settle_output();
                        panic!(
                            "`{}` ended ({exit:?}) before the expected {what}:\n{}",
                            self.name,
                            self.stderr()
                        )
                    }
                    None => panic!("`{}` wrote no expected {what} in {PATIENCE:?}", self.name),
                }
            }
        }
    }

    /// A grandchild may hold the pipes open, so the end of the output is not waited for for ever.
    fn settle_output(&self) {
        self.stdout.wait_end(GRACE);
        self.stderr.wait_end(GRACE);
    }

    /// Ends it as a drop would, keeping the handle: politely, then the group by force.
    pub fn stop(&self) {
        self.end_expected.store(true, Ordering::Relaxed);
        if self.exited().is_none() {
            let _ = kill_process(self.pid(), Signal::TERM);
            wait_until(GRACE, || self.exited().is_some());
        }
        let _ = kill_process_group(self.pid(), Signal::KILL);
        wait_until(GRACE, || self.exited().is_some());
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let surprise = if self.end_expected.load(Ordering::Relaxed) { None } else { self.exited() };
        self.stop();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.settle_output();
            eprintln!("---- `{}` stdout\n{}", self.name, self.stdout());
            eprintln!("---- `{}` stderr\n{}", self.name, self.stderr());
        } else if let Some(exit) = surprise {
            self.settle_output();
            panic!("`{}` ended unnoticed ({exit:?}):\n{}", self.name, self.stderr());
        }
    }
}
