//! From a file to something that can be put in force: loaded, overridden, mocks compiled.

use crate::compose::Overrides;
use crate::exit::{ExitCode, Failure};
use crate::file::{self, Loaded, overlay_name};
use std::path::Path;
use std::sync::Arc;
use stitch_config::overlay::{Changes, Values};
use stitch_config::watch::Fingerprint;
use stitch_config::{Config, Place, Problem, Report, Sources};
use stitch_mockd::Engine;
use stitch_proxy::Credentials;

/// A configuration that may be put in force.
pub(super) struct Prepared {
    pub(super) config: Arc<Config>,
    pub(super) sources: Sources,
    /// Warnings only.
    pub(super) report: Report,
    pub(super) engine: Arc<Engine>,
    pub(super) credentials: Credentials,
    /// What to watch for changes.
    pub(super) fingerprint: Fingerprint,
    /// What can be changed at run time, as written.
    pub(super) values: Values,
    /// The name of the overlay file, if there is one.
    pub(super) overlay: Option<String>,
}

/// A configuration that may not.
pub(super) struct Refused {
    pub(super) report: Report,
    pub(super) sources: Sources,
    pub(super) fingerprint: Fingerprint,
    pub(super) values: Values,
}

/// Loads a file and compiles its mocks, so that every problem of every stage is in one report.
pub(crate) fn load_and_check(path: &Path) -> Loaded {
    let mut loaded = file::load(path);
    Engine::compile(&loaded.config, 0, None, &mut loaded.report);
    Credentials::load(&loaded.config, None, &mut loaded.report);
    loaded
}

/// Loads with changes over it, overrides and compiles. Counters and draws go on from `previous`; certificates and keys
/// are read for whoever says which ones are in use.
pub(super) fn prepare(
    path: &Path,
    changes: &Changes,
    overrides: &Overrides,
    seed: u64,
    previous: Option<&Engine>,
    in_use: Option<&Credentials>,
) -> Result<Prepared, Box<Refused>> {
    let (mut loaded, fingerprint) = file::load_and_watch(path, changes);
    if let Err(problems) = overrides.apply(&mut loaded.config) {
        let problem = |message| Problem::error(Place::default(), "command line", message);
        loaded.report.extend(problems.into_iter().map(problem));
    }
    let Loaded { config, sources, mut report, values, overlay, .. } = loaded;
    let overlay = overlay_name(overlay.as_deref());
    let seed = config.seed.unwrap_or(seed);
    let engine = Engine::compile(&config, seed, previous, &mut report);
    let credentials = in_use.map(|in_use| read_credentials(&config, in_use, &mut report));
    if report.has_errors() {
        return Err(Box::new(Refused { report, sources, fingerprint, values }));
    }
    let (config, credentials) = (Arc::new(config), credentials.unwrap_or_default());
    Ok(Prepared { config, sources, report, engine, credentials, fingerprint, values, overlay })
}

fn read_credentials(config: &Config, in_use: &Credentials, report: &mut Report) -> Credentials {
    let credentials = Credentials::load(config, Some(in_use), report);
    for service in config.services.iter().filter(|service| service.tls.insecure) {
        tracing::warn!(
            service = %service.name,
            "tls.insecure: the certificate of this service is not checked, anybody can pose as it"
        );
    }
    if !config.proxy.forward.intercept_tls || report.has_errors() {
        return credentials;
    }
    match in_use.authority().map_or_else(crate::authority::open, Ok) {
        Ok(authority) => credentials.with_authority(Some(authority)),
        Err(why) => {
            let problem = Problem::error(Place::default(), "proxy.forward.intercept_tls", why);
            report.push(problem.hint("set STITCH_CA_DIR to a folder that can be written to"));
            credentials
        }
    }
}

/// The first load of a process: problems are printed, and end it.
pub(super) fn prepare_first(
    path: &Path,
    overrides: &Overrides,
    seed: u64,
    in_use: Option<&Credentials>,
) -> Result<Prepared, Failure> {
    match prepare(path, &Changes::default(), overrides, seed, None, in_use) {
        Ok(prepared) => {
            eprint!("{}", prepared.report.render(&prepared.sources));
            Ok(prepared)
        }
        Err(refused) => {
            eprint!("{}", refused.report.render(&refused.sources));
            let errors = crate::report::counted(refused.report.errors(), "error");
            eprintln!("{}: {errors}", path.display());
            Err(Failure::told(ExitCode::Problems))
        }
    }
}
