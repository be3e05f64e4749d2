//! `stitch compose`, `stitch up --compose` and `stitch down`: the same file, run as containers.

use crate::cli::{ComposeArgs, DownArgs, UpArgs};
use crate::compose::{self, ComposeError, Generated, Options, Tool};
use crate::exit::{ExitCode, Failure, context};
use crate::file::{self, Loaded};
use crate::output;
use std::env;
use std::path::Path;

/// Writes the compose file into the current directory, or prints it and writes nothing.
pub(super) fn file(args: &ComposeArgs) -> Result<ExitCode, Failure> {
    let loaded = file::load_valid(&file::find(&args.file)?)?;
    let directory = env::current_dir()?;
    let generated = generate(&loaded, &directory)?;
    if args.stdout {
        output::print(&generated.yaml)?;
    } else {
        compose::write(&generated, &directory)?;
        let name = compose::FILE_NAME;
        eprintln!("wrote {name}; `docker compose -f {name} up -d` runs it");
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn the_compose_file_of_a_configuration() {
        let scratch = Scratch::new();
        let text = "services:\n  nats: { type: infra, image: 'nats:2', ports: ['4222:4222'] }\n";
        let loaded = file::load_valid(&scratch.write("stitch.yaml", text)).unwrap();
        let yaml = generate(&loaded, scratch.path()).unwrap().yaml;
        assert!(yaml.contains("nats:2") && yaml.contains("stitch.yaml"), "{yaml}");
    }

    #[test]
    fn a_file_that_went_away_is_named() {
        let scratch = Scratch::new();
        let mut loaded = file::load(&scratch.write("stitch.yaml", "services: {}\n"));
        loaded.config.file = scratch.path().join("gone.yaml");
        let failure = generate(&loaded, scratch.path()).unwrap_err();
        assert!(failure.message().unwrap().contains("gone.yaml"));
    }
}
