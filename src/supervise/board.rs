//! Where every command stands, for whoever asks or waits.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// A command as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CommandState {
    /// Its service.
    pub(crate) name: String,
    /// Its process, while there is one.
    pub(crate) pid: Option<u32>,
    /// Where it stands.
    pub(crate) state: State,
    /// How often it was started again.
    pub(crate) restarts: u32,
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// For the services that it depends on.
    Waiting,
    /// It runs, but does not answer yet.
    Starting,
    /// It runs and answers.
    Up,
    /// It ended and is started again soon.
    Restarting,
    /// It ends again and again; it is only tried now and then.
    CrashLoop,
    /// It was told to end.
    Stopping,
}

impl State {
    /// In words, for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for its dependencies",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Restarting => "restarting",
            Self::CrashLoop => "in a crash loop",
            Self::Stopping => "stopping",
        }
    }
}

/// Every command by name, each with the run that it belongs to.
type Entries = BTreeMap<Arc<str>, (u64, CommandState)>;

/// The states of all commands.
#[derive(Clone, Debug)]
pub(super) struct Board {
    entries: watch::Sender<Entries>,
    runs: Arc<AtomicU64>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self { entries: watch::Sender::new(Entries::new()), runs: Arc::default() }
    }

    /// Takes the place of a command; whoever had it before is not heard any more.
    pub(super) fn claim(&self, name: &Arc<str>) -> Slot {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let state =
            CommandState { name: name.to_string(), pid: None, state: State::Waiting, restarts: 0 };
        self.entries.send_modify(|entries| {
            entries.insert(name.clone(), (run, state));
        });
        Slot { board: self.clone(), name: name.clone(), run }
    }

    /// Every command, by name.
    pub(super) fn states(&self) -> Vec<CommandState> {
        self.entries.borrow().values().map(|(_, state)| state.clone()).collect()
    }

    /// Waits until the states are as wanted.
    pub(super) async fn wait_until(&self, wanted: impl Fn(&Board) -> bool) {
        let mut changes = self.entries.subscribe();
        // The sender is ours, so there is always one.
        while !wanted(self) && changes.changed().await.is_ok() {}
    }

    /// Whether waiting for these can end: each is up, keeps failing, or is not a command at all.
    pub(super) fn are_settled(&self, names: &[Arc<str>]) -> bool {
        let entries = self.entries.borrow();
        let settled = |one: &CommandState| matches!(one.state, State::Up | State::CrashLoop);
        names.iter().all(|name| entries.get(name).is_none_or(|(_, one)| settled(one)))
    }

    /// Whether each of these is up, or not a command at all.
    pub(super) fn are_up(&self, names: &[Arc<str>]) -> bool {
        let entries = self.entries.borrow();
        names.iter().all(|name| entries.get(name).is_none_or(|(_, one)| one.state == State::Up))
    }

    /// A receiver that wakes on every change.
    pub(super) fn changes(&self) -> watch::Receiver<Entries> {
        self.entries.subscribe()
    }
}

/// One command's place on the board.
#[derive(Debug)]
pub(super) struct Slot {
    board: Board,
    name: Arc<str>,
    run: u64,
}

impl Slot {
    /// Says where the command stands.
    pub(super) fn set(&self, state: State, pid: Option<u32>) {
        self.modify(|known| {
            known.state = state;
            known.pid = pid;
        });
    }

    /// Says that the command is started again.
    pub(super) fn restarted(&self) {
        self.modify(|known| known.restarts = known.restarts.saturating_add(1));
    }

    fn modify(&self, change: impl FnOnce(&mut CommandState)) {
        self.board.entries.send_if_modified(|entries| match entries.get_mut(&self.name) {
            Some((run, state)) if *run == self.run => {
                change(state);
                true
            }
            _ => false,
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.board.entries.send_if_modified(|entries| {
            let ours = entries.get(&self.name).is_some_and(|(run, _)| *run == self.run);
            if ours {
                entries.remove(&self.name);
            }
            ours
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_listed_while_it_is_looked_after() {
        let board = Board::new();
        let slot = board.claim(&"users".into());
        assert!(!board.are_up(&["users".into()]));
        slot.set(State::Up, Some(7));
        slot.restarted();
        let state =
            CommandState { name: "users".into(), pid: Some(7), state: State::Up, restarts: 1 };
        assert_eq!(board.states(), [state]);
        assert!(board.are_up(&["users".into(), "never-declared".into()]));
        drop(slot);
        assert_eq!(board.states(), []);
    }

    #[test]
    fn a_successor_is_not_overwritten() {
        let board = Board::new();
        let old = board.claim(&"users".into());
        let _new = board.claim(&"users".into());
        old.set(State::Up, Some(1));
        assert_eq!(board.states()[0].state, State::Waiting);
        drop(old);
        assert_eq!(board.states().len(), 1);
    }

    #[test]
    fn states_have_names_for_programs_and_words_for_people() {
        let all = [
            (State::Waiting, "\"waiting\"", "waiting for its dependencies"),
            (State::Starting, "\"starting\"", "starting"),
            (State::Up, "\"up\"", "up"),
            (State::Restarting, "\"restarting\"", "restarting"),
            (State::CrashLoop, "\"crash_loop\"", "in a crash loop"),
            (State::Stopping, "\"stopping\"", "stopping"),
        ];
        for (state, name, words) in all {
            assert_eq!(serde_json::to_string(&state).unwrap(), name);
            assert_eq!(state.as_str(), words);
        }
    }
}
