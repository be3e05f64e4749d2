//! All commands of a configuration, through reloads to the end.

use super::board::{Board, CommandState, State};
use super::keeper::{Keeper, Timing};
use super::output::Output;
use super::plan::{Around, Spec, prerequisites, specs};
use crate::proxy_env::ProxyAddress;
use crate::trust::Trust;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stitch_config::Config;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Starts, watches and stops every `command:`.
#[derive(Debug)]
pub(crate) struct Supervisor {
    proxy: Option<ProxyAddress>,
    board: Board,
    output: Output,
    timing: Timing,
    commands: Mutex<BTreeMap<Arc<str>, Running>>,
}

/// A command that is looked after, or was until it was told to stop.
#[derive(Debug)]
struct Running {
    spec: Arc<Spec>,
    stop: CancellationToken,
    life: JoinHandle<()>,
}

impl Supervisor {
    /// Starts every command, in the order of `depends_on`. Must be called within a runtime; returns
    /// at once. `proxy` is where proxied commands send their calls, if it has an address.
    pub(crate) fn start(config: &Config, proxy: Option<SocketAddr>) -> Self {
        Self::with(config, proxy, Timing::default(), Output::stderr())
    }

    fn with(config: &Config, proxy: Option<SocketAddr>, timing: Timing, output: Output) -> Self {
        let supervisor = Self {
            proxy: proxy.map(Into::into),
            board: Board::new(),
            output,
            timing,
            commands: Mutex::default(),
        };
        supervisor.update(config);
        supervisor
    }

    /// Follows a changed configuration: commands that are the same go on running, changed ones are
    /// restarted, missing ones stopped.
    pub(crate) fn update(&self, config: &Config) {
        let wanted = specs(config, &self.around(config));
        let mut order = prerequisites(config);
        self.output.names(wanted.iter().map(|spec| &*spec.name));
        let mut commands = self.commands();
        commands.retain(|name, running| {
            if !wanted.iter().any(|spec| spec.name == *name) {
                running.stop.cancel();
            }
            // Those that are still ending are kept, for a successor to wait for.
            !running.life.is_finished()
        });
        let changed = wanted.into_iter().filter(|spec| {
            let running = commands.get(&spec.name);
            running.is_none_or(|running| running.stop.is_cancelled() || *running.spec != *spec)
        });
        // All places are taken before anyone looks whether what it waits for is there.
        let changed: Vec<_> =
            changed.map(|spec| (self.board.claim(&spec.name), Arc::new(spec))).collect();
        for (slot, spec) in changed {
            let before = commands.remove(&spec.name);
            let stop = CancellationToken::new();
            let keeper = Keeper {
                spec: spec.clone(),
                after: order.remove(&spec.name).unwrap_or_default(),
                board: self.board.clone(),
                slot,
                output: self.output.clone(),
                timing: self.timing,
                stop: stop.clone(),
            };
            let before = before.map(|before| {
                before.stop.cancel();
                before.life
            });
            let life = tokio::spawn(keeper.run(before));
            commands.insert(spec.name.clone(), Running { spec, stop, life });
        }
    }

    fn around(&self, config: &Config) -> Around {
        let mut commands = config.services.iter().filter_map(|service| service.command.as_ref());
        if !commands.any(|command| command.proxied) {
            return Around { proxy: None, trust: None };
        }
        if self.proxy.is_none() {
            tracing::warn!("Commands cannot be proxied: proxy.listen has a socket and no address");
            return Around { proxy: None, trust: None };
        }
        let trust = Trust::of(config).unwrap_or_else(|why| {
            tracing::warn!(why, "Proxied commands are not told of the CA");
            None
        });
        Around { proxy: self.proxy.clone(), trust }
    }

    /// Where every command stands, by name.
    pub(crate) fn states(&self) -> Vec<CommandState> {
        self.board.states()
    }

    /// Calls `tell` with the states, now and whenever they change, until the supervisor is gone or
    /// the future is dropped.
    pub(crate) fn watch(
        &self,
        mut tell: impl FnMut(Vec<CommandState>) + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let mut changes = self.board.changes();
        async move {
            loop {
                let states = {
                    let entries = changes.borrow_and_update();
                    entries.values().map(|(_, state)| state.clone()).collect()
                };
                tell(states);
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    /// Waits until every command is up or in a crash loop, but no longer than `limit`. Those that
    /// are not up, then.
    pub(crate) async fn wait_ready(&self, limit: Duration) -> Vec<CommandState> {
        let settled = |one: &CommandState| matches!(one.state, State::Up | State::CrashLoop);
        let ready = self.board.wait_until(|board| board.states().iter().all(settled));
        // Late or not, the states are what counts.
        let _ = timeout(limit, ready).await;
        let mut late = self.board.states();
        late.retain(|one| one.state != State::Up);
        late
    }

    /// Stops every command and waits until all are gone.
    pub(crate) async fn shutdown(&self) {
        let commands = std::mem::take(&mut *self.commands());
        for running in commands.values() {
            running.stop.cancel();
        }
        for running in commands.into_values() {
            // A panic has been told already.
            let _ = running.life.await;
        }
        self.output.flush().await;
    }

    fn commands(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Running>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Supervisor {
    /// Without [`Supervisor::shutdown`] nobody waits, but nothing is left running either.
    fn drop(&mut self) {
        for running in self.commands().values() {
            running.stop.cancel();
        }
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
