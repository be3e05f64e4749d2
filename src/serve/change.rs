//! Changes that the admin API asks for: validated like the file, put in force like a reload.

use super::prepare::{Prepared, Refused};
use super::reload::ProxyReload;
use super::run_time::RunTime;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use stitch_config::overlay::{self, Changes, Values, What, Written, persisted};
use stitch_config::watch::Fingerprint;
use stitch_config::{Problem, Sources};
use stitch_control::{Change, ChangeProblem, ChangeRefused};
use stitch_net::tls::replace_file;
use tokio::sync::oneshot;

/// What reports call the body of a request.
const BODY: &str = "the body of the request";

/// How large the value of one key may become, patch over patch.
const MAX_VALUE: usize = 256 << 10;

/// How large the overlay file may become; what is larger than twice that is not read again.
const MAX_OVERLAY: usize = 4 << 20;

/// A change that is wanted, and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Result<(), ChangeRefused>>,
}

impl ProxyReload<'_> {
    /// Makes a change. What is to be watched from now on comes back if it was made.
    pub(super) async fn change(&self, change: &Change) -> Result<Fingerprint, ChangeRefused> {
        let service = change.service();
        if self.running.proxy.snapshot().config.service(service).is_none() {
            return Err(ChangeRefused::Unknown(self.running.near_any(service)));
        }
        match change {
            Change::Patch { service, patch, keys, persist } => {
                self.patch(service, patch, keys, *persist).await
            }
            Change::Undo { service, key } => self.undo(service, key.as_deref()).await,
        }
    }

    async fn patch(
        &self,
        service: &str,
        patch: &str,
        keys: &[String],
        persist: bool,
    ) -> Result<Fingerprint, ChangeRefused> {
        let mut kept = self.running.run_time();
        let mut changes = kept.changes();
        changes.push(overlay::Change {
            name: BODY.to_owned(),
            service: service.to_owned(),
            what: What::Patch(patch.to_owned()),
        });
        let prepared = self.prepare(changes);
        let mut prepared = prepared.map_err(|refused| self.explain(&refused))?;
        check_size(service, keys, &prepared.values)?;
        // Before anything is written: a port that cannot be had refuses the change.
        let ports = self.running.plan_ports(&prepared.config).map_err(|f| conflict(f.message()))?;
        for key in keys {
            match persist {
                true => kept.remove(service, Some(key)),
                false => kept.set(service, key, &prepared.values),
            }
        }
        if persist {
            let text = self.persist(&prepared, &kept, service, keys)?;
            prepared.fingerprint.overlay_written(text.as_deref());
        }
        tracing::info!(service, keys = keys.join(", "), persist, "Changed at run time");
        Ok(self.put_in_force(prepared, ports, kept).await)
    }

    async fn undo(&self, service: &str, key: Option<&str>) -> Result<Fingerprint, ChangeRefused> {
        let mut kept = self.running.run_time();
        let changed = kept.keys(service);
        if let Some(key) = key.filter(|key| !changed.iter().any(|changed| changed == key)) {
            return Err(ChangeRefused::NotChanged { key: key.to_owned(), changed });
        }
        kept.remove(service, key);
        let prepared = self.prepare(kept.changes()).map_err(|refused| self.explain(&refused))?;
        let ports = self.running.plan_ports(&prepared.config).map_err(|f| conflict(f.message()))?;
        tracing::info!(service, key, "Changes at run time were taken back");
        Ok(self.put_in_force(prepared, ports, kept).await)
    }

    /// Writes keys as they are in force to the overlay file; returns what stands in it now.
    fn persist(
        &self,
        prepared: &Prepared,
        kept: &RunTime,
        service: &str,
        keys: &[String],
    ) -> Result<Option<String>, ChangeRefused> {
        let Some(path) = prepared.sources.overlay() else {
            return Err(ChangeRefused::Conflict("there is no file to write beside".to_owned()));
        };
        let mut files = prepared.sources.files();
        let before = files.find(|(known, _)| *known == path).map(|(_, text)| &**text);
        let text = persisted(before, &|name| env::var(name).ok(), &prepared.values, service, keys);
        if text.as_ref().is_some_and(|text| text.len() > MAX_OVERLAY) {
            let why = format!("{} would be larger than {} MiB", path.display(), MAX_OVERLAY >> 20);
            return Err(ChangeRefused::Conflict(why));
        }
        if !kept.is_empty() {
            // The next start does not know the other changes.
            let overlay = Some(text.clone().unwrap_or_else(|| "services: {}".to_owned()));
            let alone = Changes { overlay, run_time: Vec::new() };
            self.prepare_over(&alone).map_err(|refused| ChangeRefused::Invalid(told(&refused)))?;
        }
        write(path, self.options.path(), text.as_deref()).map_err(|error| {
            ChangeRefused::Conflict(format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(text)
    }

    /// Whether a change is to blame, or the files.
    fn explain(&self, refused: &Refused) -> ChangeRefused {
        match self.prepare(self.running.run_time().changes()) {
            Err(without) => ChangeRefused::FilesWrong(told(&without)),
            Ok(_) => ChangeRefused::Invalid(told(refused)),
        }
    }
}

/// Many small patches may not fill the memory, or the overlay file.
fn check_size(service: &str, keys: &[String], values: &Values) -> Result<(), ChangeRefused> {
    let size = |key: &String| values.in_force.get(service, key).map_or(0, Written::size);
    match keys.iter().find(|key| size(key) > MAX_VALUE) {
        None => Ok(()),
        Some(key) => {
            let why = format!("{key:?} of {service} would be larger than {} KiB", MAX_VALUE >> 10);
            Err(ChangeRefused::Conflict(why))
        }
    }
}

fn conflict(why: Option<String>) -> ChangeRefused {
    ChangeRefused::Conflict(why.unwrap_or_default())
}

/// Every error.
fn told(refused: &Refused) -> Vec<ChangeProblem> {
    let errors = refused.report.sorted().into_iter().filter(|problem| problem.is_error());
    errors.map(|problem| one(problem, &refused.sources)).collect()
}

fn one(problem: &Problem, sources: &Sources) -> ChangeProblem {
    let place = problem.place;
    let at = match sources.path(place) {
        Some(path) if path == Path::new(BODY) => {
            (place.line > 0).then(|| format!("{}:{}", place.line, place.column))
        }
        Some(_) => Some(sources.locate(place).to_string()),
        None => None,
    };
    let Problem { path, message, hint, .. } = problem.clone();
    ChangeProblem { at, path, message, hint }
}

/// Puts the overlay file there, as readable as the one that it is of; or takes it away.
fn write(path: &Path, main: &Path, text: Option<&str>) -> io::Result<()> {
    let Some(text) = text else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    let modes = [path, main].map(|file| fs::metadata(file).ok());
    let mode = modes.into_iter().flatten().map(|known| known.permissions().mode() & 0o777).next();
    replace_file(path, text, mode.unwrap_or(0o644))
}
