//! Runs the commands, and says what to do where they cannot be run.

use super::rules::{Family, Plan, Role, Step, applying, removing};
use std::io;
use std::process::{Command, Output, Stdio};

/// Why rules are not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// There is no such program.
    #[error(
        "{0} is not installed (apt-get install iptables); without --apply the rules are only printed"
    )]
    Missing(&'static str),
    /// It may not be done by this user, or not here.
    #[error(
        "{program} may not change the firewall: {said}; run it as root, in a container with the \
         capability NET_ADMIN"
    )]
    NotPermitted {
        /// The program that was run.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// A command failed, and what had been done was taken back.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The whole command.
        command: String,
        /// What it said.
        said: String,
    },
    /// The program cannot be run.
    #[error("cannot run {0}: {1}")]
    Broken(&'static str, #[source] io::Error),
}

/// Puts the rules in force, in place of any of ours. All of them, or none.
pub(crate) fn apply(plan: &Plan) -> Result<(), ApplyError> {
    for table in &plan.tables {
        probe(table.family)?;
    }
    for table in &plan.tables {
        if let Err(error) = run_all(table.family, &applying(plan, *table)) {
            for table in &plan.tables {
                // The first error is the one to tell.
                let _ = run_all(table.family, &removing());
            }
            return Err(error);
        }
    }
    for family in plan.others() {
        take_away(family)?;
    }
    Ok(())
}

/// Takes the rules of both protocols away; it is fine if there are none.
pub(crate) fn remove() -> Result<(), ApplyError> {
    probe(Family::V4)?;
    run_all(Family::V4, &removing())?;
    take_away(Family::V6)
}

/// A machine without a protocol has no rules for it either.
fn take_away(family: Family) -> Result<(), ApplyError> {
    match probe(family) {
        Ok(()) => run_all(family, &removing()),
        Err(_) => Ok(()),
    }
}

/// Finds out whether the firewall can be reached at all.
fn probe(family: Family) -> Result<(), ApplyError> {
    let program = family.program();
    let output = run(family, &["-w", "-t", "nat", "-S", "OUTPUT"].map(str::to_owned))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(ApplyError::NotPermitted { program, said: said(&output) }),
    }
}

fn run_all(family: Family, steps: &[Step]) -> Result<(), ApplyError> {
    let mut skip = false;
    for (role, words) in steps {
        if std::mem::take(&mut skip) {
            continue;
        }
        let output = run(family, words)?;
        match (role, output.status.success()) {
            (Role::Ask, good) => skip = good,
            (Role::Do, true) | (Role::Undo, _) => {}
            (Role::Do, false) => {
                let command = format!("{} {}", family.program(), words.join(" "));
                return Err(ApplyError::Failed { command, said: said(&output) });
            }
        }
    }
    Ok(())
}

fn run(family: Family, words: &[String]) -> Result<Output, ApplyError> {
    let program = family.program();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ApplyError::Missing(program),
        _ => ApplyError::Broken(program, error),
    })
}

/// The first line of what it complained about.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned())
}
