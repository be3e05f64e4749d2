//! The life of one command: wait, start, watch, start again, end.

use super::board::{Board, Slot, State};
use super::group::Group;
use super::output::{Output, Tail};
use super::plan::Spec;
use super::restarts::{Next, Patience, Restarts};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a command that left its group may hold on to our pipes after its end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Between asking a command to end and killing it.
    pub(super) grace: Duration,
    /// For the commands that another one depends on to be up.
    pub(super) prerequisites: Duration,
    /// Between restarts.
    pub(super) patience: Patience,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            prerequisites: Duration::from_secs(300),
            patience: Patience::default(),
        }
    }
}

/// What one command's life needs.
pub(super) struct Keeper {
    pub(super) spec: Arc<Spec>,
    /// Commands that must be up first.
    pub(super) after: Vec<Arc<str>>,
    pub(super) board: Board,
    pub(super) slot: Slot,
    pub(super) output: Output,
    pub(super) timing: Timing,
    pub(super) stop: CancellationToken,
}

impl Keeper {
    /// Looks after the command until told to stop. `before` is the life of the command that this
    /// one replaces: it must be over, since both may want the same port.
    pub(super) async fn run(self, before: Option<JoinHandle<()>>) {
        if let Some(before) = before {
            // A panic of the other is not ours.
            let _ = before.await;
        }
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = self.wait_for_prerequisites() => {}
        }
        let mut restarts = Restarts::new(self.timing.patience);
        let tail = Tail::default();
        loop {
            let started = Instant::now();
            let Some(end) = self.live(&tail).await else { return };
            let next = restarts.ended(started, Instant::now());
            let pause = async {
                self.tell(&end, next, &tail).await;
                sleep(next.after()).await;
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = pause => self.slot.restarted(),
            }
        }
    }

    async fn wait_for_prerequisites(&self) {
        let settled = self.board.wait_until(|board| board.are_settled(&self.after));
        let in_time = timeout(self.timing.prerequisites, settled).await.is_ok();
        if !in_time || !self.board.are_up(&self.after) {
            let late = self.after.iter().filter(|name| !self.board.are_up(&[Arc::clone(name)]));
            let late = late.map(|name| &**name).collect::<Vec<_>>().join(", ");
            let service = &*self.spec.name;
            tracing::warn!(service, late, "Started although what it depends on is not up");
        }
    }

    /// One life: from start to end. Nothing when we ended it ourselves.
    async fn live(&self, tail: &Tail) -> Option<String> {
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => return Some(self.not_started(&error)),
        };
        let group = Group::of(&child);
        let pid = child.id();
        self.slot.set(State::Starting, pid);
        let words = self.listen(&mut child, tail);
        let watch = async {
            let service = &*self.spec.name;
            self.spec.probe.until_up(|why| tracing::warn!(service, why, "Not up yet")).await;
            self.slot.set(State::Up, pid);
            tracing::info!(service = &*self.spec.name, pid, "Command is up");
            std::future::pending::<()>().await;
        };
        let end = tokio::select! {
            () = self.stop.cancelled() => None,
            end = child.wait() => Some(ending(end)),
            () = watch => None,
        };
        self.slot.set(State::Stopping, pid);
        // Children that outlive their parent would keep its port.
        group.end(&mut child, self.timing.grace).await;
        words.finish().await;
        end
    }

    fn spawn(&self) -> io::Result<Child> {
        let Some((program, arguments)) = self.spec.argv.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Command::new(program)
            .args(arguments)
            .current_dir(&self.spec.directory)
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)))
            // Its own group: ended as a whole, and out of reach of the terminal's Ctrl-C, which we
            // answer in order. Such a group must not read from the terminal.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn not_started(&self, error: &io::Error) -> String {
        let program = self.spec.argv.first().map_or("", String::as_str);
        format!("cannot start \"{program}\" in {}: {error}", self.spec.directory.display())
    }

    fn listen(&self, child: &mut Child, tail: &Tail) -> Words {
        let follow = |output: &Output| (output.clone(), self.spec.name.clone(), tail.clone());
        let stdout = child.stdout.take().map(|stream| {
            let (output, name, tail) = follow(&self.output);
            tokio::spawn(output.follow(name, stream, tail))
        });
        let stderr = child.stderr.take().map(|stream| {
            let (output, name, tail) = follow(&self.output);
            tokio::spawn(output.follow(name, stream, tail))
        });
        Words([stdout, stderr])
    }

    async fn tell(&self, end: &str, next: Next, tail: &Tail) {
        let service = &*self.spec.name;
        let after = next.after();
        match next {
            Next::Restart(_) => {
                self.slot.set(State::Restarting, None);
                tracing::warn!(service, "Command {end}, started again in {after:?}");
            }
            Next::CrashLoop { begun: false, .. } => self.slot.set(State::CrashLoop, None),
            Next::CrashLoop { begun: true, .. } => {
                self.slot.set(State::CrashLoop, None);
                tracing::error!(
                    service,
                    "Command is in a crash loop ({end}), tried every {after:?}"
                );
                self.output.line(service, "--- crash loop; its last words were:").await;
                for line in tail.take() {
                    self.output.line(service, &line).await;
                }
                self.output.line(service, "---").await;
            }
        }
    }
}

/// The tasks that read what a command says.
struct Words([Option<JoinHandle<()>>; 2]);

impl Words {
    /// Waits for the end of both streams, which a process that left the group may keep open.
    async fn finish(self) {
        for mut stream in self.0.into_iter().flatten() {
            if timeout(LAST_WORDS, &mut stream).await.is_err() {
                stream.abort();
            }
        }
    }
}

fn ending(end: io::Result<ExitStatus>) -> String {
    match end {
        Ok(status) => format!("ended with {status}"),
        Err(error) => format!("was lost: {error}"),
    }
}
