//! The command line: what can be asked for.

mod args;
mod values;

pub(crate) use args::{
    CheckArgs, Cli, Command, ComposeArgs, DownArgs, EnvArgs, ExplainArgs, FileArg, FormatArg,
    HealthArgs, MockdArgs, OverrideArgs, ProxyArgs, ProxyChoice, RunArgs, UpArgs, VersionArgs,
    WaitArgs,
};
pub(crate) use values::{Endpoint, Format, Shell};
