//! From a parsed command line to the command that it means.

use super::{check, compose, env, health, run, schema, version, wait};
use crate::cli::Command;
use crate::exit::{ExitCode, Failure};
use std::future::Future;

/// Runs a command.
pub(crate) fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Run(args) => block_on(run::run(&args)),
        Command::Env(args) => env::run(&args),
        Command::Wait(args) => block_on(wait::run(&args)),
        Command::Health(args) => block_on(health::run(&args)),
        Command::Compose(args) => compose::print(&args),
        Command::Down(args) => compose::down(&args),
        Command::Up(args) if args.compose => compose::up(&args),
        Command::Schema => schema::run(),
        Command::Version(args) => version::run(&args),
        Command::Up(_) | Command::Proxy(_) | Command::Mockd(_) | Command::Explain(_) => {
            Err(Failure::runtime("not wired yet"))
        }
    }
}

/// One thread is enough for a command that only waits.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
