//! What each subcommand does: one file per command, each from arguments to exit code.

mod ca;
mod check;
mod compose;
mod dispatch;
mod env;
mod explain;
mod health;
mod run;
mod schema;
mod up;
mod version;
mod wait;

pub(crate) use dispatch::dispatch;
