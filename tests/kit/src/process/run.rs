//! One program, described: run to its end within a limit, or left running behind a handle.

use super::{Exit, Process};
use crate::scratch::Scratch;
use crate::wait::require;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a one-shot command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Settings that would bend the traffic of a program under test.
const PROXY_VARIABLES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// Settings that would have it trust others.
const TRUST_VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];

/// What a finished command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, made readable.
    pub stdout: String,
    /// Its standard error, made readable.
    pub stderr: String,
}

impl Output {
    /// The exit code.
    ///
    /// # Panics
    /// When a signal ended it.
    #[track_caller]
    #[must_use]
    pub fn code(&self) -> i32 {
        match self.exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => panic!("ended by signal {signal}:\n{}", self.stderr),
        }
    }

    /// The same output, when the command ended with code 0.
    ///
    /// # Panics
    /// Showing both outputs, when it did not.
    #[track_caller]
    pub fn success(self) -> Self {
        let Self { exit, stdout, stderr } = &self;
        assert_eq!(*exit, Exit::Code(0), "stdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }
}

/// A program to run.
#[derive(Debug)]
pub struct Run {
    name: String,
    command: Command,
    limit: Duration,
    /// Holds the script for as long as it may be read.
    scratch: Option<Scratch>,
}

impl Run {
    /// A program by its name, looked up like [`require`].
    #[track_caller]
    #[must_use]
    pub fn tool(name: &str) -> Self {
        Self::program(&require(name))
    }

    /// A program by its path. What the surroundings say about proxies and trust is removed;
    /// standard input is empty.
    #[must_use]
    pub fn program(path: &Path) -> Self {
        let mut command = Command::new(path);
        command.stdin(Stdio::null());
        for name in PROXY_VARIABLES {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        for name in TRUST_VARIABLES {
            command.env_remove(name);
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { name, command, limit: LIMIT, scratch: None }
    }

    /// A text run by an interpreter.
    pub(crate) fn script(interpreter: &Path, file: &str, text: &str) -> Self {
        let scratch = Scratch::new();
        let path = scratch.write(file, text);
        let mut run = Self::program(interpreter).arg(path);
        run.scratch = Some(scratch);
        run
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn cwd(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it may take instead of 30 s.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[track_caller]
    #[must_use]
    pub fn output(self) -> Output {
        let limit = self.limit;
        let process = Process::start(&self.name, self.command);
        let Some(exit) = process.wait_exit_within(limit) else {
            panic!("`{}` did not end within {limit:?}", self.name)
        };
        Output { exit, stdout: process.stdout(), stderr: process.stderr() }
    }

    /// Starts it and leaves it running.
    #[track_caller]
    #[must_use]
    pub fn spawn(self) -> Running {
        Running { process: Process::start(&self.name, self.command), _scratch: self.scratch }
    }
}

/// A program left running; everything that [`Process`] can do.
#[derive(Debug)]
pub struct Running {
    process: Process,
    _scratch: Option<Scratch>,
}

impl std::ops::Deref for Running {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
