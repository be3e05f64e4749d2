//! Runs the compose tool of the machine: `docker compose`, or `docker-compose` where only that is.
//!
//! The tool speaks for itself on the terminal; here is only which tool, which arguments, and the
//! wait until our container answers. Blocking, for `main` to call before anything else runs.

use super::generate::Generated;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// The name of the generated file, in the current directory.
pub(crate) const FILE_NAME: &str = "docker-compose.generated.yml";

/// What answers to `version`, in order of preference.
const CANDIDATES: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
/// How often our container is asked whether it is ready, and the pause between: a quarter of a
/// minute, and a second or so that the tool itself needs each time.
const READY_TRIES: u32 = 30;
const READY_PAUSE: Duration = Duration::from_millis(500);

/// A compose tool that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    words: Vec<String>,
    ready_tries: u32,
    ready_pause: Duration,
}

/// Why the containers do not run, or still do.
#[derive(Debug)]
pub(crate) enum ComposeError {
    /// Neither tool is there.
    NoTool,
    /// Nothing was generated here.
    NoFile(PathBuf),
    /// The generated file cannot be written.
    Write(PathBuf, io::Error),
    /// The tool was found, but cannot be started.
    Start(String, io::Error),
    /// The tool said why on the terminal.
    Failed(String, ExitStatus),
    /// The containers were started, but ours does not answer; its log was shown.
    NotReady,
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTool => f.write_str(
                "neither `docker compose` nor `docker-compose` answers; install Docker with its \
                 compose plugin (on Debian: apt-get install docker.io docker-compose)",
            ),
            Self::NoFile(path) => {
                write!(f, "no {} here; `stitch up --compose` writes it", path.display())
            }
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Start(command, error) => write!(f, "cannot run `{command}`: {error}"),
            Self::Failed(command, status) => write!(f, "`{command}` failed ({status})"),
            Self::NotReady => {
                f.write_str("the stitch container did not become ready; its last lines stand above")
            }
        }
    }
}

impl std::error::Error for ComposeError {}

/// Writes the generated file, whole or not at all, and says where.
pub(crate) fn write(generated: &Generated, directory: &Path) -> Result<PathBuf, ComposeError> {
    let path = directory.join(FILE_NAME);
    let draft = directory.join(format!(".{FILE_NAME}.{}", std::process::id()));
    match fs::write(&draft, &generated.yaml).and_then(|()| fs::rename(&draft, &path)) {
        Ok(()) => Ok(path),
        Err(error) => {
            // Whatever is left of the draft is worth nothing; the first error is the one to tell.
            let _ = fs::remove_file(&draft);
            Err(ComposeError::Write(path, error))
        }
    }
}

/// Starts the containers of a generated file, or replaces those that changed, and waits until ours
/// is ready. `rebuild` builds images anew.
pub(crate) fn up(tool: &Tool, file: &Path, rebuild: bool) -> Result<(), ComposeError> {
    let build: &[&str] = if rebuild { &["--build"] } else { &[] };
    tool.run(file, &[&["up", "--detach"], build].concat())?;
    if tool.wait_ready(file) {
        return Ok(());
    }
    tool.run(file, &["logs", "--tail", "50", "stitch"])?;
    Err(ComposeError::NotReady)
}

/// Stops and removes the containers of a generated file; named volumes stay.
pub(crate) fn down(tool: &Tool, file: &Path) -> Result<(), ComposeError> {
    if !file.exists() {
        return Err(ComposeError::NoFile(file.to_owned()));
    }
    tool.run(file, &["down"])
}

impl Tool {
    /// The tool of this machine.
    pub(crate) fn find() -> Result<Self, ComposeError> {
        Self::first_that_answers(&CANDIDATES)
    }

    fn first_that_answers(candidates: &[&[&str]]) -> Result<Self, ComposeError> {
        candidates
            .iter()
            .map(|words| Self::new(words))
            .find(Self::answers)
            .ok_or(ComposeError::NoTool)
    }

    fn new(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { words, ready_tries: READY_TRIES, ready_pause: READY_PAUSE }
    }

    fn answers(&self) -> bool {
        self.command(["version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map_or("docker-compose", String::as_str));
        command.args(words).args(args).stdin(Stdio::null());
        command
    }

    fn with_file(&self, file: &Path, args: &[&str]) -> Command {
        let mut command = self.command([OsStr::new("--file"), file.as_os_str()]);
        command.args(args);
        command
    }

    fn run(&self, file: &Path, args: &[&str]) -> Result<(), ComposeError> {
        let shown = || format!("{} {}", self.words.join(" "), args.join(" "));
        let status = self.with_file(file, args).status();
        let status = status.map_err(|error| ComposeError::Start(shown(), error))?;
        if status.success() { Ok(()) } else { Err(ComposeError::Failed(shown(), status)) }
    }

    /// Asks inside the container, which needs no published port, until it is ready or gone.
    fn wait_ready(&self, file: &Path) -> bool {
        let mut health = self.with_file(file, &["exec", "-T", "stitch", "stitch", "health"]);
        health.stdout(Stdio::null()).stderr(Stdio::null());
        for attempt in 1..=self.ready_tries {
            if health.status().is_ok_and(|status| status.success()) {
                return true;
            }
            if attempt == self.ready_tries || !self.is_running(file) {
                break;
            }
            thread::sleep(self.ready_pause);
        }
        false
    }

    fn is_running(&self, file: &Path) -> bool {
        let mut list = self.with_file(file, &["ps", "--services", "--filter", "status=running"]);
        let output = list.stderr(Stdio::null()).output();
        output
            .is_ok_and(|out| out.stdout.split(|byte| *byte == b'\n').any(|line| line == b"stitch"))
    }
}

#[cfg(all(test, unix))]
#[path = "drive_tests.rs"]
mod tests;
