//! How the process ends: the exit codes, and the one boxed edge where typed errors become a line
//! of text.
//!
//! Commands return a [`Failure`]; only `main` turns it into a message and ends the process.

use std::error::Error;
use std::fmt;
use std::io;
use std::process;

/// The exit codes that scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// 0.
    Ok,
    /// 1: the file has problems.
    Problems,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: an address cannot be listened on.
    Bind,
    /// 4: anything that goes wrong later.
    Runtime,
    /// 130: ended by SIGINT.
    Interrupted,
    /// What the program of `stitch run` said.
    Program(u8),
}

impl ExitCode {
    /// The number that the parent process sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Problems => 1,
            Self::Usage => 2,
            Self::Bind => 3,
            Self::Runtime => 4,
            Self::Interrupted => 130,
            Self::Program(code) => code,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        exit.code().into()
    }
}

type Boxed = Box<dyn Error + Send + Sync>;

/// Why a command failed, and the exit code for it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the process ends with.
    pub(crate) exit: ExitCode,
    error: Option<Boxed>,
}

impl Failure {
    /// The command line asks for something that cannot be.
    pub(crate) fn usage(error: impl Into<Boxed>) -> Self {
        Self { exit: ExitCode::Usage, error: Some(error.into()) }
    }

    /// An address cannot be listened on.
    pub(crate) fn bind(error: impl Into<Boxed>) -> Self {
        Self { exit: ExitCode::Bind, error: Some(error.into()) }
    }

    /// Something went wrong on the way.
    pub(crate) fn runtime(error: impl Into<Boxed>) -> Self {
        Self { exit: ExitCode::Runtime, error: Some(error.into()) }
    }

    /// Everything has been said already; only the exit code is left.
    pub(crate) fn told(exit: ExitCode) -> Self {
        Self { exit, error: None }
    }

    /// The same failure with another exit code.
    #[must_use]
    pub(crate) fn exit(mut self, exit: ExitCode) -> Self {
        self.exit = exit;
        self
    }

    /// What to print, if there is anything left to say: the error and its causes in one line.
    pub(crate) fn message(&self) -> Option<String> {
        let error: &dyn Error = self.error.as_deref()?;
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors already end with what caused them.
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Some(message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::runtime(error)
    }
}

/// An error with a sentence in front of it.
#[derive(Debug)]
struct Context {
    what: String,
    source: Boxed,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Context {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Says what was being done when an error came up.
pub(crate) fn context(
    what: impl Into<String>,
    source: impl Into<Boxed>,
) -> impl Error + Send + Sync {
    Context { what: what.into(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_a_promise() {
        let all = [
            (ExitCode::Ok, 0),
            (ExitCode::Problems, 1),
            (ExitCode::Usage, 2),
            (ExitCode::Bind, 3),
            (ExitCode::Runtime, 4),
            (ExitCode::Interrupted, 130),
            (ExitCode::Program(127), 127),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn causes_follow_the_error() {
        let error = io::Error::other("disk is full");
        let failure = Failure::runtime(context("cannot write out.yml", error));
        assert_eq!(failure.message().unwrap(), "cannot write out.yml: disk is full");
        assert_eq!(failure.exit, ExitCode::Runtime);
    }

    #[test]
    fn a_cause_is_not_told_twice() {
        let error = io::Error::other("disk is full");
        let failure = Failure::bind(context("cannot write: disk is full", error));
        assert_eq!(failure.message().unwrap(), "cannot write: disk is full");
    }

    #[test]
    fn what_was_told_is_not_repeated() {
        let failure = Failure::told(ExitCode::Problems);
        assert_eq!(failure.message(), None);
        assert_eq!(Failure::usage("x").exit(ExitCode::Program(126)).exit.code(), 126);
    }
}
