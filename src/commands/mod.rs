//! What each subcommand does: one file per command, each from arguments to exit code. `handshake` and
//! `spoken` are parts of `explain`.

mod ca;
mod check;
mod compose;
mod dispatch;
mod env;
mod explain;
mod handshake;
mod hash;
mod health;
mod iptables;
mod run;
mod schema;
mod spoken;
mod up;
mod version;
mod wait;

pub(crate) use dispatch::dispatch;
