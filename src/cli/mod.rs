//! The command line: what can be asked for.

pub(crate) mod args;
mod values;

pub(crate) use args::{
    CaArgs, CaCommand, CaExportArgs, CheckArgs, Cli, Command, ComposeArgs, DownArgs, EnvArgs,
    ExplainArgs, FileArg, HealthArgs, IptablesArgs, MockdArgs, ProxyArgs, ProxyChoice, RunArgs,
    UpArgs, VersionArgs, WaitArgs,
};
pub(crate) use values::{Endpoint, Format, Shell};
