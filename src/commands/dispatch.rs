//! From a parsed command line to the command that it means.

use super::{
    ca, check, compose, env, explain, hash, health, iptables, run, schema, up, version, wait,
};
use crate::cli::Command;
use crate::exit::{ExitCode, Failure};
use std::future::Future;

/// Runs a command.
pub(crate) fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Run(args) => block_on(run::run(&args)),
        Command::Env(args) => env::run(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Wait(args) => block_on(wait::run(&args)),
        Command::Health(args) => block_on(health::run(&args)),
        Command::Iptables(args) => iptables::run(&args),
        Command::Compose(args) => compose::file(&args),
        Command::Down(args) => compose::down(&args),
        Command::Up(args) if args.compose => compose::up(&args),
        Command::Schema => schema::run(),
        Command::Hash => hash::run(),
        Command::Version(args) => version::run(&args),
        Command::Up(args) => up::up(args),
        Command::Proxy(args) => up::proxy(args),
        Command::Mockd(args) => up::mockd(&args),
        Command::Explain(args) => explain::run(&args),
    }
}

/// One thread is enough for a command that only waits.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn exit(line: &str) -> u8 {
        let words = std::iter::once("stitch").chain(line.split_whitespace());
        let command = Cli::try_parse_from(words).unwrap().command;
        dispatch(command).unwrap_or_else(|failure| failure.exit).code()
    }

    #[test]
    fn every_command_ends_with_its_code() {
        for (line, code) in [
            ("version", 0),
            ("schema", 0),
            ("env --unset", 0),
            ("check no-such.yaml", 1),
            ("compose no-such.yaml", 1),
            ("up --compose no-such.yaml", 1),
            ("run --proxy http://127.0.0.1:1 -- true", 0),
            ("run --proxy http://127.0.0.1:1 -- false", 1),
            ("run no-such.yaml -- true", 1),
            ("wait --admin http://127.0.0.1:1 --timeout 20ms", 4),
            ("health --admin http://127.0.0.1:1", 4),
        ] {
            assert_eq!(exit(line), code, "{line}");
        }
    }
}
