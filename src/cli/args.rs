//! The subcommands and their arguments, with the words that explain them.

use super::values::{self, Endpoint, Format, Shell};
use crate::compose::{Overrides, parse_allow, parse_events, parse_url};
use crate::proxy_env::ProxyAddress;
use crate::redirect::Ports;
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use stitch_config::model::{AllowRule, Events, ListenAddress, Upstream};

const EXAMPLES: &str = "\
Examples:
  stitch up                                   serve ./stitch.yaml (or ./services.yaml)
  stitch check stitch.yaml                    every problem of the file, nothing bound
  stitch run --as web -- npm start            run a program through the proxy
  eval \"$(stitch env)\"                        use the proxy from this shell
  stitch explain stitch.yaml GET http://users/users/1

Exit codes:
  0 ok, 1 the file has problems, 2 usage, 3 cannot bind, 4 runtime failure, 130 interrupted";

/// One YAML file in front of real and mocked services.
#[derive(Debug, Parser)]
#[command(name = "stitch", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a file: proxy, mocks, events, commands and admin API in one process
    Up(UpArgs),
    /// Remove the containers that `stitch up --compose` started
    Down(DownArgs),
    /// Run the proxy alone; mocks are answered by a mock daemon elsewhere
    Proxy(ProxyArgs),
    /// Run the mock daemon alone
    Mockd(MockdArgs),
    /// Report every problem of a file; nothing is bound
    Check(CheckArgs),
    /// Say which rule, service and mode a request would meet, without sending it
    Explain(ExplainArgs),
    /// Run a program whose HTTP calls go through the proxy
    Run(RunArgs),
    /// Print what sets the proxy variables in a shell
    Env(EnvArgs),
    /// Show the certificate authority that HTTPS is looked into with, for programs to trust
    Ca(CaArgs),
    /// Wait until a running stitch is ready
    Wait(WaitArgs),
    /// Ask a running stitch once whether it is ready (for container health checks)
    Health(HealthArgs),
    /// Print, apply or remove the firewall rules that redirect connections to proxy.transparent
    Iptables(IptablesArgs),
    /// Write docker-compose.generated.yml, which runs a configuration in containers
    Compose(ComposeArgs),
    /// Print the digest of a secret that is read from stdin, for `auth` in the file
    Hash,
    /// Print the JSON Schema of the file format
    Schema,
    /// Print the version
    Version(VersionArgs),
}

/// The file that almost every command reads.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FileArg {
    /// The configuration [default: stitch.yaml, else services.yaml, in the current directory]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// How to tell events.
#[derive(Clone, Debug, Args)]
pub(crate) struct FormatArg {
    /// What to print: text for people, or one JSON object per line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What the command line says over the file.
///
/// The hidden ones are for containers, where the file is mounted as it is and only its
/// surroundings differ.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OverrideArgs {
    /// Listen here instead of `proxy.listen`: an address, whose port 0 picks a free one, or
    /// unix:/path (repeatable)
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Serve the admin API here instead of at `proxy.admin`
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// `auto`, `in-process` or `nats://host:port` instead of `events`
    #[arg(long, value_name = "URL", hide = true, value_parser = parse_events)]
    pub(crate) events: Option<Events>,
    /// Comma-separated rules, or `none`, instead of `proxy.forward.allow`
    #[arg(long, value_name = "LIST", hide = true, value_parser = parse_allow)]
    pub(crate) forward_allow: Option<Rules>,
    /// Comma-separated rules, or `none`, instead of `proxy.trust`
    #[arg(long, value_name = "LIST", hide = true, value_parser = parse_allow)]
    pub(crate) trust: Option<Rules>,
    /// Where a real service is, instead of its `url` (repeatable)
    #[arg(long = "url", value_name = "NAME=URL", hide = true, value_parser = parse_url)]
    pub(crate) urls: Vec<(String, Upstream)>,
}

/// One argument holds a whole list; a bare `Vec` would mean one rule per argument.
type Rules = Vec<AllowRule>;

impl From<OverrideArgs> for Overrides {
    fn from(args: OverrideArgs) -> Self {
        let OverrideArgs { listen, admin, events, forward_allow, trust, urls } = args;
        Self { listen, admin, events, forward_allow, trust, urls }
    }
}

/// `stitch up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    #[command(flatten)]
    pub(crate) overrides: OverrideArgs,
    #[command(flatten)]
    pub(crate) format: FormatArg,
    /// Run everything in containers: write docker-compose.generated.yml and start it
    #[arg(long, conflicts_with_all = ["listen", "admin"])]
    pub(crate) compose: bool,
    /// Build images anew
    #[arg(long, requires = "compose")]
    pub(crate) rebuild: bool,
}

/// `stitch down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
}

/// `stitch proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    /// The mock daemon, such as http://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    pub(crate) mockd: Endpoint,
    #[command(flatten)]
    pub(crate) overrides: OverrideArgs,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// `stitch mockd`.
#[derive(Debug, Args)]
pub(crate) struct MockdArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    /// Serve every mock here; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub(crate) listen: SocketAddr,
    /// Leave the `port` of each service alone (the proxy has it)
    #[arg(long)]
    pub(crate) no_ports: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// `stitch check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// `stitch explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The configuration
    pub(crate) file: PathBuf,
    /// The method of the request
    pub(crate) method: http::Method,
    /// Its URL; a path alone is a request to the proxy itself
    pub(crate) url: http::Uri,
    /// A header, `name: value` (repeatable)
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = values::header)]
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// `stitch run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Everything after -- is the program and its arguments; its exit code is passed on.

Examples:
  stitch run -- ./app
  stitch run shop.yaml --as web -- npm start
  stitch run --proxy http://127.0.0.1:8080 -- curl http://users/users/1")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    #[command(flatten)]
    pub(crate) proxy: ProxyChoice,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Which proxy a program should use, and as whom.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ProxyChoice {
    /// The service that the program is, so that its calls are known as its own
    #[arg(long = "as", value_name = "NAME", value_parser = values::service_name)]
    pub(crate) name: Option<String>,
    /// The proxy [default: FILE's, else $STITCH_PROXY, else the default file's, else
    /// http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub(crate) proxy: Option<ProxyAddress>,
}

/// `stitch env`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eval \"$(stitch env --as web)\"                          sh, bash, zsh
  stitch env --shell fish | source                        fish
  stitch env --shell powershell | Invoke-Expression       PowerShell")]
pub(crate) struct EnvArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    #[command(flatten)]
    pub(crate) proxy: ProxyChoice,
    /// The shell that will read it
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub(crate) shell: Shell,
    /// Take the variables back instead
    #[arg(long)]
    pub(crate) unset: bool,
}

/// `stitch ca`.
#[derive(Debug, Args)]
#[command(after_help = "\
The CA is made at the first use, by whichever command comes first. It is kept in $STITCH_CA_DIR, else in
the user's data folder. Its key never leaves that folder.

Examples:
  stitch ca export --out stitch-ca.pem        for a trust store
  stitch ca export --bundle --out roots.pem   for programs that replace their roots by one file
  stitch ca fingerprint                       to compare with what a trust store shows")]
pub(crate) struct CaArgs {
    /// What to show.
    #[command(subcommand)]
    pub(crate) command: CaCommand,
}

/// What `stitch ca` can show.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Print the CA's certificate as PEM
    Export(CaExportArgs),
    /// Print the folder that holds the CA
    Path,
    /// Print the SHA-256 fingerprint of the CA's certificate
    Fingerprint,
}

/// `stitch ca export`.
#[derive(Debug, Args)]
pub(crate) struct CaExportArgs {
    /// Write it to this file instead, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The roots that this system trusts along with it
    #[arg(long)]
    pub(crate) bundle: bool,
}

/// `stitch wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    /// The admin API [default: FILE's, else $STITCH_ADMIN, else the default file's, else
    /// 127.0.0.1:9900]
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub(crate) admin: Option<Endpoint>,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    pub(crate) timeout: Duration,
    /// Wait for this service alone, not for all (repeatable)
    #[arg(long = "service", value_name = "NAME", value_parser = values::service_name)]
    pub(crate) services: Vec<String>,
}

/// `stitch health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The admin API [default: $STITCH_ADMIN, else 127.0.0.1:9900]
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<Endpoint>,
    /// Only ask whether it is alive
    #[arg(long)]
    pub(crate) live: bool,
}

/// `stitch iptables`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stitch iptables                                    see the rules
  sudo stitch iptables --apply --exclude-uid 1337    redirect everybody but user 1337, who runs stitch
  sudo stitch iptables --remove")]
pub(crate) struct IptablesArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    /// Put the rules in force instead of printing them
    #[arg(long)]
    pub(crate) apply: bool,
    /// Take them away
    #[arg(long, conflicts_with_all = ["apply", "file"])]
    pub(crate) remove: bool,
    /// Leave the connections of this user alone; stitch's own must be [default: who runs this]
    /// (repeatable)
    #[arg(long = "exclude-uid", value_name = "UID")]
    pub(crate) exclude_uids: Vec<u32>,
    /// Redirect these ports of destinations, such as 80,443,8000-8100 [default: all]
    #[arg(long, value_name = "LIST")]
    pub(crate) ports: Option<Ports>,
    /// Leave these ports of destinations alone
    #[arg(long, value_name = "LIST")]
    pub(crate) exclude_ports: Option<Ports>,
    /// Leave these destinations alone (repeatable)
    #[arg(long = "exclude-cidr", value_name = "CIDR")]
    pub(crate) exclude_nets: Vec<IpNet>,
    /// Redirect connections to loopback addresses too
    #[arg(long)]
    pub(crate) loopback: bool,
    /// Redirect IPv6; an error when proxy.transparent has no address for it
    #[arg(long)]
    pub(crate) ipv6: bool,
    /// Leave IPv6 alone
    #[arg(long, conflicts_with = "ipv6")]
    pub(crate) no_ipv6: bool,
}

/// `stitch compose`.
#[derive(Debug, Args)]
pub(crate) struct ComposeArgs {
    #[command(flatten)]
    pub(crate) file: FileArg,
    /// Print it instead
    #[arg(long)]
    pub(crate) stdout: bool,
}

/// `stitch version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
