//! Hot reload: a changed file is validated as a whole and put in force as a whole, or not at all.
//!
//! Files are polled rather than watched: that survives editors that replace the file and mounts
//! without inotify, and costs a handful of `stat`s (see docs/decisions/0003-polling.md).

use super::prepare::{Prepared, prepare};
use super::proxy::{ProxyOptions, Running, compile};
use super::signals::{Asked, Signals};
use crate::exit::Failure;
use crate::report::Reporter;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::model::Proxy;
use stitch_config::watch::Fingerprint;
use stitch_config::{Config, Place, Problem, Report, Sources};

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(250);

/// Something that can be put in force anew from changed files.
pub(super) trait Reload {
    /// Reloads once, or keeps what there is and says why; returns what to watch from now on.
    fn reload(&mut self) -> impl Future<Output = Fingerprint>;
}

/// What reloading the proxy needs.
pub(super) struct ProxyReload<'a> {
    pub(super) options: &'a ProxyOptions,
    pub(super) seed: u64,
    pub(super) reporter: Reporter,
    pub(super) running: &'a Running,
}

/// Reloads whenever the files change or SIGHUP comes, until a signal asks to stop.
pub(super) async fn follow_changes(
    mut reloader: impl Reload,
    mut fingerprint: Fingerprint,
    mut signals: Signals,
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
        };
        if asked != Asked::Reload {
            return (asked, signals);
        }
        fingerprint = reloader.reload().await;
    }
}

impl Reload for ProxyReload<'_> {
    async fn reload(&mut self) -> Fingerprint {
        let previous = self.running.engine.load_full();
        let overrides = &self.options.overrides;
        let in_use = self.running.proxy.snapshot();
        let in_use = Some(&in_use.credentials);
        match prepare(self.options.path(), overrides, self.seed, Some(&previous), in_use) {
            Err(refused) => {
                told(self.reporter.reload_failed(&refused.report, &refused.sources));
                refused.fingerprint
            }
            Ok(prepared) => self.put_in_force(prepared).await,
        }
    }
}

impl ProxyReload<'_> {
    async fn put_in_force(&self, prepared: Prepared) -> Fingerprint {
        let Prepared { config, sources, report, engine, credentials, fingerprint } = prepared;
        let running = self.running;
        let ports = match running.plan_ports(&config) {
            Ok(ports) => ports,
            Err(failure) => {
                refuse_ports(self.reporter, &failure, &sources);
                return fingerprint;
            }
        };
        let before = running.proxy.snapshot();
        let after = keep_fixed(&before.config, config);
        let remote = running.remote.as_ref();
        let snapshot = compile(&after, &engine, remote, &running.own, credentials, Some(&before));
        running.proxy.replace(snapshot);
        running.checks.follow(&running.proxy.snapshot());
        running.engine.store(engine.clone());
        running.apply_ports(ports);
        if let Some(events) = &running.events {
            events.update(&engine).await;
        }
        if let Some(supervisor) = running.supervisor.get() {
            supervisor.update(&after);
        }
        eprint!("{}", report.render(&sources));
        told(self.reporter.reloaded(&running.lines()));
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
        ("proxy.transparent", old.transparent != new.transparent),
        ("proxy.proxy_protocol", old.proxy_protocol != new.proxy_protocol),
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
