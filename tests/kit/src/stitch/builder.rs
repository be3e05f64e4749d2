//! A run of `stitch`, described: its files, subcommand, arguments and environment.

use super::{Ready, Stitch};
use crate::process::{Output, Run};
use crate::scratch::Scratch;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The binary under test, set once per test program.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Describes a run of `stitch`; [`StitchBuilder::start`] leaves it running,
/// [`StitchBuilder::output`] runs it to its end.
#[derive(Debug)]
pub struct StitchBuilder {
    scratch: Scratch,
    main: Option<PathBuf>,
    binary: Option<PathBuf>,
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    own_listen: bool,
}

impl StitchBuilder {
    pub(super) fn new() -> Self {
        Self {
            scratch: Scratch::new(),
            main: None,
            binary: None,
            command: "up".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            own_listen: false,
        }
    }

    /// Writes a file into the run's folder, which is also its working directory. The first one
    /// is the file that `stitch` is given.
    #[track_caller]
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        let path = self.scratch.write(name, text);
        self.main.get_or_insert(path);
        self
    }

    /// The main file under its usual name.
    #[track_caller]
    #[must_use]
    pub fn yaml(self, text: &str) -> Self {
        self.file("stitch.yaml", text)
    }

    /// The subcommand: `up` (the default), `proxy`, `mockd`, or any other for
    /// [`StitchBuilder::output`].
    #[must_use]
    pub fn command(mut self, command: &str) -> Self {
        command.clone_into(&mut self.command);
        self
    }

    /// More arguments, after the file. An option given here replaces the harness's own.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Leaves `proxy.listen` as the file says, instead of one free port. Ports in it should be 0.
    #[must_use]
    pub fn listens_as_written(mut self) -> Self {
        self.own_listen = true;
        self
    }

    /// Another program instead of the binary under test.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// The folder of the run, for files it should find or has written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it ends first (showing its stderr) or is not ready within 20 s.
    #[track_caller]
    #[must_use]
    pub fn start(self) -> Stitch {
        let process = self.run_with(&self.free_ports()).spawn();
        let ready = process.pick_stdout(Ready::from_line);
        Stitch::new(process, ready, self.main, self.scratch)
    }

    /// Runs it to its end.
    #[track_caller]
    #[must_use]
    pub fn output(self) -> Output {
        self.run_with(&[]).output()
    }

    /// Options for a run beside others: free ports, events as JSON.
    fn free_ports(&self) -> Vec<&'static str> {
        let mut options = vec![("--format", "json")];
        if !self.own_listen {
            options.push(("--listen", "127.0.0.1:0"));
        }
        if self.command != "mockd" {
            options.push(("--admin", "127.0.0.1:0"));
        }
        options
            .into_iter()
            .filter(|(name, _)| !self.args.iter().any(|arg| names_option(arg, name)))
            .flat_map(|(name, value)| [name, value])
            .collect()
    }

    fn run_with(&self, options: &[&str]) -> Run {
        let binary = self.binary.clone().unwrap_or_else(binary);
        let mut run = Run::program(&binary).cwd(self.scratch.path()).arg(&self.command);
        if let Some(main) = &self.main {
            run = run.arg(main);
        }
        run = run.args(options).args(&self.args);
        for (name, value) in &self.env {
            run = run.env(name, value);
        }
        run
    }
}

/// Whether an argument is `--name` or `--name=value`.
fn names_option(arg: &str, name: &str) -> bool {
    arg.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

pub(super) fn set_binary(path: &str) {
    // Every test of one program sets the same path; the first is as good as any.
    let _ = BINARY.set(PathBuf::from(path));
}

/// The path that was set, or the binary beside the running test program.
pub(super) fn binary() -> PathBuf {
    BINARY.get().cloned().or_else(beside_this_program).unwrap_or_else(|| {
        panic!(
            "no stitch binary: call Stitch::binary(env!(\"CARGO_BIN_EXE_stitch\")) in the test, \
             or build it with cargo build"
        )
    })
}

/// Cargo puts test programs into `target/PROFILE/deps` and binaries into `target/PROFILE`.
fn beside_this_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let binary = program.parent()?.parent()?.join("stitch");
    binary.is_file().then_some(binary)
}
