//! Hot reload: a changed file is validated as a whole and put in force as a whole, or not at all.
//!
//! Files are polled rather than watched: that survives editors that replace the file and mounts
//! without inotify, and costs a handful of `stat`s (see docs/decisions/0003-polling.md).

use super::change::Request;
use super::listeners::PortChanges;
use super::prepare::{Prepared, Refused, prepare};
use super::proxy::{ProxyOptions, Running, compile};
use super::run_time::{Dropped, RunTime};
use super::signals::{Asked, Signals};
use crate::exit::Failure;
use crate::report::{Reloaded, Reporter};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::Proxy;
use stitch_config::overlay::{Change, Changes};
use stitch_config::watch::Fingerprint;
use stitch_config::{Config, Place, Problem, Report, Sources};
use tokio::sync::mpsc;

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(250);

/// Something that can be put in force anew from changed files.
pub(super) trait Reload {
    /// What may be asked for between reloads.
    type Request;

    /// Reloads once, or keeps what there is and says why; returns what to watch from now on.
    fn reload(&mut self) -> impl Future<Output = Fingerprint>;

    /// Does what is asked for; returns what to watch from now on.
    fn serve(
        &mut self,
        request: Self::Request,
        watched: Fingerprint,
    ) -> impl Future<Output = Fingerprint>;
}

/// What reloading the proxy needs.
pub(super) struct ProxyReload<'a> {
    pub(super) options: &'a ProxyOptions,
    pub(super) seed: u64,
    pub(super) reporter: Reporter,
    pub(super) running: &'a Running,
}

/// Reloads whenever the files change or SIGHUP comes, and serves requests, one after the other,
/// until a signal asks to stop.
pub(super) async fn follow_changes<R: Reload>(
    mut reloader: R,
    mut fingerprint: Fingerprint,
    mut signals: Signals,
    mut requests: mpsc::Receiver<R::Request>,
) -> (Asked, Signals) {
    loop {
        let changed = async {
            loop {
                tokio::time::sleep(POLL).await;
                if fingerprint.changed() {
                    return Asked::Reload;
                }
            }
        };
        let asked = tokio::select! {
            asked = changed => asked,
            asked = signals.next() => asked,
            Some(request) = requests.recv() => {
                // What was saved before is in force before, and told.
                if fingerprint.changed() {
                    fingerprint = reloader.reload().await;
                }
                fingerprint = reloader.serve(request, fingerprint).await;
                continue;
            }
        };
        if asked != Asked::Reload {
            return (asked, signals);
        }
        fingerprint = reloader.reload().await;
    }
}

/// Serves requests while something else is waited for. A signal that asks to stop ends the wait.
pub(super) async fn serve_during<R: Reload>(
    reloader: &mut R,
    watched: &mut Fingerprint,
    signals: &mut Signals,
    requests: &mut mpsc::Receiver<R::Request>,
    wait: impl Future<Output = ()>,
) -> Option<Asked> {
    let mut wait = pin!(wait);
    loop {
        // A request is never broken off half-way.
        let request = tokio::select! {
            biased;
            () = &mut wait => return None,
            asked = signals.stop() => return Some(asked),
            Some(request) = requests.recv() => request,
        };
        *watched = reloader.serve(request, watched.clone()).await;
    }
}

impl Reload for ProxyReload<'_> {
    type Request = Request;

    async fn reload(&mut self) -> Fingerprint {
        let mut kept = self.running.run_time();
        let (prepared, dropped) = match self.prepare_keeping(&mut kept) {
            Ok(prepared) => prepared,
            Err(refused) => {
                told(self.reporter.reload_failed(&refused.report, &refused.sources));
                return refused.fingerprint;
            }
        };
        let ports = match self.running.plan_ports(&prepared.config) {
            Ok(ports) => ports,
            Err(failure) => {
                refuse_ports(self.reporter, &failure, &prepared.sources);
                return prepared.fingerprint;
            }
        };
        eprint!("{}", prepared.report.render(&prepared.sources));
        let overlay = prepared.overlay.clone();
        let fingerprint = self.put_in_force(prepared, ports, kept).await;
        for Dropped { service, key, why } in &dropped {
            tracing::warn!(service, key, why, "A change at run time was dropped");
        }
        told(self.reporter.reloaded(&Reloaded {
            services: &self.running.lines(),
            overlay: overlay.as_deref(),
            dropped: &dropped,
        }));
        fingerprint
    }

    async fn serve(&mut self, request: Request, watched: Fingerprint) -> Fingerprint {
        let changed = self.change(&request.change).await;
        let (answer, watched) = match changed {
            Ok(fingerprint) => (Ok(()), fingerprint),
            Err(refused) => (Err(refused), watched),
        };
        // Who no longer waits has the change all the same.
        let _ = request.answer.send(answer);
        watched
    }
}

impl ProxyReload<'_> {
    /// Prepares what the files say now, with changes at run time over it.
    pub(super) fn prepare(&self, run_time: Vec<Change>) -> Result<Prepared, Box<Refused>> {
        self.prepare_over(&Changes { overlay: None, run_time })
    }

    pub(super) fn prepare_over(&self, changes: &Changes) -> Result<Prepared, Box<Refused>> {
        let previous = self.running.engine.load_full();
        let in_use = self.running.proxy.snapshot();
        let (path, overrides) = (self.options.path(), &self.options.overrides);
        let in_use = Some(&in_use.credentials);
        prepare(path, changes, overrides, self.seed, Some(&previous), in_use)
    }

    /// Prepares what the files say now with those changes that still mean something; the others
    /// are given up.
    fn prepare_keeping(
        &self,
        kept: &mut RunTime,
    ) -> Result<(Prepared, Vec<Dropped>), Box<Refused>> {
        let mut dropped = Vec::new();
        loop {
            let prepared = self.prepare(kept.changes());
            let values = match &prepared {
                Ok(prepared) => &prepared.values,
                Err(refused) => &refused.values,
            };
            let stale = kept.drop_stale(values);
            if !stale.is_empty() {
                dropped.extend(stale);
                continue;
            }
            let refused = match prepared {
                Ok(prepared) => return Ok((prepared, dropped)),
                Err(refused) => refused,
            };
            let blamed = kept.drop_blamed(&refused.report, &refused.sources);
            if blamed.is_empty() {
                // Is it the files, or what they and a change say together?
                self.prepare(Vec::new())?;
                match kept.drop_newest() {
                    Some(newest) => dropped.push(newest),
                    None => return Err(refused),
                }
            }
            dropped.extend(blamed);
        }
    }

    /// Everything at once, with the changes at run time that are in it.
    pub(super) async fn put_in_force(
        &self,
        prepared: Prepared,
        ports: PortChanges,
        run_time: RunTime,
    ) -> Fingerprint {
        let Prepared { config, engine, credentials, fingerprint, .. } = prepared;
        let running = self.running;
        let before = running.proxy.snapshot();
        let after = keep_fixed(&before.config, config);
        let remote = running.remote.as_ref();
        let snapshot = compile(&after, &engine, remote, &running.own, credentials, Some(&before));
        running.proxy.replace(snapshot);
        running.checks.follow(&running.proxy.snapshot());
        running.engine.store(engine.clone());
        running.set_run_time(run_time, prepared.values);
        running.apply_ports(ports);
        if let Some(events) = &running.events {
            events.update(&engine).await;
        }
        if let Some(supervisor) = running.supervisor.get() {
            supervisor.update(&after);
        }
        fingerprint
    }
}

/// A closed standard output is no reason to stop serving.
pub(super) fn told(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "Nobody reads standard output");
    }
}

/// Tells of a file that is fine but for a port that cannot be had: nothing of it is in force, and
/// the next change is tried again.
pub(super) fn refuse_ports(reporter: Reporter, failure: &Failure, sources: &Sources) {
    let mut report = Report::default();
    let message = failure.message().unwrap_or_default();
    report.push(Problem::error(Place::default(), "", &*message));
    told(reporter.reload_failed(&report, sources));
}

/// What cannot change while running stays as it was; the developer is told.
fn keep_fixed(before: &Config, after: Arc<Config>) -> Arc<Config> {
    let (old, new) = (&before.proxy, &after.proxy);
    let fixed = [
        ("proxy.listen", old.listen != new.listen),
        ("proxy.transparent", old.transparent != new.transparent),
        ("proxy.proxy_protocol", old.proxy_protocol != new.proxy_protocol),
        ("proxy.admin", old.admin != new.admin),
        ("proxy.workers", old.workers != new.workers),
        ("proxy.access_log", old.access_log != new.access_log),
        ("proxy.limits", old.limits != new.limits),
        ("proxy.drain", old.drain != new.drain),
        ("events", before.events != after.events),
        ("seed", before.seed != after.seed),
    ];
    let changed: Vec<_> =
        fixed.iter().filter(|(_, changed)| *changed).map(|(key, _)| *key).collect();
    if changed.is_empty() {
        return after;
    }
    tracing::warn!("{} changed in the file: takes effect after a restart", changed.join(", "));
    let mut kept = (*after).clone();
    kept.proxy = Proxy {
        forward: kept.proxy.forward,
        trust: kept.proxy.trust,
        tls: kept.proxy.tls,
        ..before.proxy.clone()
    };
    kept.events = before.events.clone();
    kept.seed = before.seed;
    Arc::new(kept)
}
