//! `stitch compose`, `stitch up --compose` and `stitch down`: the same file, run as containers.

use crate::cli::{ComposeArgs, DownArgs, UpArgs};
use crate::compose::{self, ComposeError, Generated, Options, Tool};
use crate::exit::{ExitCode, Failure, context};
use crate::file::{self, Loaded};
use crate::output;
use std::env;
use std::path::Path;

/// Prints the compose file; nothing is written.
pub(super) fn print(args: &ComposeArgs) -> Result<ExitCode, Failure> {
    let loaded = file::load_valid(&file::find(&args.file)?)?;
    let generated = generate(&loaded, &env::current_dir()?)?;
    output::print(&generated.yaml)?;
    Ok(ExitCode::Ok)
}

/// Writes the compose file into the current directory and runs it.
pub(super) fn up(args: &UpArgs) -> Result<ExitCode, Failure> {
    let loaded = file::load_valid(&file::find(&args.file)?)?;
    let tool = Tool::find()?;
    let directory = env::current_dir()?;
    let generated = generate(&loaded, &directory)?;
    let path = compose::write(&generated, &directory)?;
    compose::up(&tool, &path, args.rebuild)?;
    let published = generated.published.iter().map(|(name, url)| format!("{name}  {url}\n"));
    output::print(&published.collect::<String>())?;
    Ok(ExitCode::Ok)
}

/// Removes what [`up`] started from the current directory.
pub(super) fn down(_args: &DownArgs) -> Result<ExitCode, Failure> {
    let tool = Tool::find()?;
    let path = env::current_dir()?.join(compose::FILE_NAME);
    compose::down(&tool, &path)?;
    Ok(ExitCode::Ok)
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        Self::runtime(error)
    }
}

fn generate(loaded: &Loaded, directory: &Path) -> Result<Generated, Failure> {
    let Loaded { config, sources, variables, .. } = loaded;
    let options = Options::gather(config, sources, directory, variables.clone());
    let options = options.map_err(|error| {
        Failure::runtime(context(format!("cannot read {}", config.file.display()), error))
    })?;
    let generated = compose::generate(config, &options);
    for warning in &generated.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(generated)
}
