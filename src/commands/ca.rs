//! `stitch ca`: the authority that HTTPS is looked into with, for trust stores and for people.

use crate::authority;
use crate::cli::{CaArgs, CaCommand, CaExportArgs};
use crate::exit::{ExitCode, Failure, context};
use crate::output;
use std::path::Path;
use stitch_net::tls::{Authority, system_roots};

pub(super) fn run(args: &CaArgs) -> Result<ExitCode, Failure> {
    let folder = authority::folder().map_err(Failure::runtime)?;
    run_in(&folder, &args.command)
}

fn run_in(folder: &Path, command: &CaCommand) -> Result<ExitCode, Failure> {
    // Every one of them, so that the folder that is shown holds a CA.
    let authority = authority::open_in(folder).map_err(Failure::runtime)?;
    match command {
        CaCommand::Export(args) => export(&authority, args)?,
        CaCommand::Path => output::print_line(&folder.display().to_string())?,
        CaCommand::Fingerprint => output::print_line(&authority.fingerprint_sha256())?,
    }
    Ok(ExitCode::Ok)
}

fn export(authority: &Authority, args: &CaExportArgs) -> Result<(), Failure> {
    let text = match args.bundle {
        true => authority.bundle_pem(system_roots().certificates()),
        false => authority.certificate_pem(),
    };
    match &args.out {
        None => Ok(output::print(&text)?),
        Some(path) => authority::write_public(path, &text).map_err(|error| {
            Failure::runtime(context(format!("cannot write {}", path.display()), error))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::fs;

    #[test]
    fn each_of_them_makes_the_ca() {
        for command in [
            CaCommand::Path,
            CaCommand::Fingerprint,
            CaCommand::Export(CaExportArgs { out: None, bundle: false }),
        ] {
            let scratch = Scratch::new();
            let folder = scratch.path().join("ca");
            assert_eq!(run_in(&folder, &command).unwrap(), ExitCode::Ok);
            assert!(folder.join("ca.pem").is_file() && folder.join("ca.key").is_file());
        }
    }

    #[test]
    fn the_ca_is_exported_alone_or_with_the_systems_roots() {
        let scratch = Scratch::new();
        let folder = scratch.path().join("ca");
        let exported = |bundle| {
            let out = scratch.path().join("out.pem");
            let args = CaExportArgs { out: Some(out.clone()), bundle };
            run_in(&folder, &CaCommand::Export(args)).unwrap();
            fs::read_to_string(out).unwrap()
        };
        let alone = exported(false);
        assert_eq!(alone, fs::read_to_string(folder.join("ca.pem")).unwrap());
        let bundle = exported(true);
        assert!(bundle.starts_with(&alone));
        let roots = system_roots().certificates().len();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1 + roots);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        let scratch = Scratch::new();
        let folder = scratch.path().join("ca");
        let out = scratch.path().join("absent/out.pem");
        let args = CaExportArgs { out: Some(out), bundle: false };
        let failure = run_in(&folder, &CaCommand::Export(args)).unwrap_err();
        assert!(failure.message().unwrap().contains("absent/out.pem"));

        fs::remove_file(folder.join("ca.key")).unwrap();
        let failure = run_in(&folder, &CaCommand::Fingerprint).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Runtime);
        assert!(failure.message().unwrap().contains("ca.pem has lost its key"));
    }
}
