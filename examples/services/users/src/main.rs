//! The `users` service as a process; see the library for what it does.

use std::process::ExitCode;

/// The port when `PORT` is not set.
const PORT: u16 = 8000;

fn main() -> ExitCode {
    chassis::run("users", PORT, || Ok(users::app()))
}
