//! The `stitch` command: parse, run, exit.
//!
//! Only `main` ends the process. What the commands do is in [`commands`]; everything that serves
//! requests lives in the crates beside this one.

mod authority;
mod bind_error;
mod cli;
mod commands;
mod compose;
mod descriptors;
mod exit;
mod file;
mod http_get;
mod logging;
mod output;
mod proxy_env;
mod redirect;
mod report;
mod serve;
mod supervise;
#[cfg(test)]
mod testing;
mod trust;

use clap::Parser as _;
use cli::Cli;
use exit::ExitCode;
use std::process;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    descriptors::reserve();
    logging::init();
    match commands::dispatch(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("error: {message}");
            }
            failure.exit.into()
        }
    }
}

/// Help and version are errors to clap; it knows the stream that each belongs on.
fn refuse(error: &clap::Error) -> process::ExitCode {
    // Nobody is left to tell when the stream is closed.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage.into() } else { ExitCode::Ok.into() }
}
