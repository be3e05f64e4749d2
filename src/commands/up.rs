//! `stitch up`, `stitch proxy` and `stitch mockd`: from arguments to a running process.

use crate::cli::{MockdArgs, ProxyArgs, UpArgs};
use crate::exit::{ExitCode, Failure};
use crate::file;
use crate::serve::{Behind, MockdOptions, ProxyOptions, run_mockd, run_proxy};

/// Everything in one process.
pub(super) fn up(args: UpArgs) -> Result<ExitCode, Failure> {
    run_proxy(&ProxyOptions {
        file: file::find(&args.file)?,
        overrides: args.overrides.into(),
        behind: Behind::Everything,
        format: args.format.format,
    })
}

/// The proxy alone.
pub(super) fn proxy(args: ProxyArgs) -> Result<ExitCode, Failure> {
    run_proxy(&ProxyOptions {
        file: file::find(&args.file)?,
        overrides: args.overrides.into(),
        behind: Behind::Mockd(args.mockd),
        format: args.format.format,
    })
}

/// The mock daemon alone.
pub(super) fn mockd(args: &MockdArgs) -> Result<ExitCode, Failure> {
    run_mockd(&MockdOptions {
        file: file::find(&args.file)?,
        listen: args.listen,
        ports: !args.no_ports,
        format: args.format.format,
    })
}
