//! Process groups: a command and everything that it starts, ended together.
//!
//! `cargo run`, `npm start` and shells start other programs; to signal only the first would leave
//! those behind.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// Between two looks at whether the group is gone.
const LOOK: Duration = Duration::from_millis(20);

/// The group that a child leads. What is left of it when this is dropped is killed.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
}

impl Group {
    /// The group of a child that was started with `process_group(0)`.
    pub(super) fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self { leader: pid.and_then(Pid::from_raw) }
    }

    /// Ends the group: asked first, killed when it has not gone after `grace`. The child is reaped.
    pub(super) async fn end(mut self, child: &mut Child, grace: Duration) {
        self.signal(Signal::TERM);
        let gone = async {
            // An error means that there is nothing to wait for.
            let _ = child.wait().await;
            while self.is_alive() {
                sleep(LOOK).await;
            }
        };
        if timeout(grace, gone).await.is_err() {
            self.signal(Signal::KILL);
            let _ = child.wait().await;
        }
        // Gone; from now on the number may be somebody else's.
        self.leader = None;
    }

    fn is_alive(&self) -> bool {
        self.leader.is_some_and(|leader| test_kill_process_group(leader).is_ok())
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // A group that has gone needs no signal.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::Command;

    const GRACE: Duration = Duration::from_secs(20);

    /// Starts a script in its own group and returns when it has said a line.
    async fn started(script: &str) -> (Child, Group, i32) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let group = Group::of(&child);
        let number = i32::try_from(child.id().unwrap()).unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).await.unwrap();
        assert_eq!(line, "up\n");
        (child, group, number)
    }

    fn code_or_signal(child: &mut Child) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt as _;
        let status = child.try_wait().unwrap().unwrap();
        status.code().or(status.signal().map(|signal| -signal))
    }

    #[tokio::test]
    async fn an_orderly_end_is_waited_for() {
        let (mut child, group, _) =
            started("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done").await;
        group.end(&mut child, GRACE).await;
        assert_eq!(code_or_signal(&mut child), Some(9));
    }

    #[tokio::test]
    async fn what_will_not_end_is_killed() {
        let (mut child, group, _) =
            started("trap '' TERM; echo up; while :; do sleep 0.01; done").await;
        group.end(&mut child, Duration::from_millis(50)).await;
        assert_eq!(code_or_signal(&mut child), Some(-9));
    }

    #[tokio::test]
    async fn children_of_the_command_go_with_it() {
        // The leader is gone at once; its child holds on until the group is signalled.
        let script = "(trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done) & exit 0";
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let group = Group::of(&child);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "up");
        child.wait().await.unwrap();
        group.end(&mut child, Duration::from_secs(1)).await;
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("bye"));
        assert_eq!(lines.next_line().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_dropped_group_is_killed() {
        let (mut child, group, _) =
            started("trap '' TERM; echo up; while :; do sleep 0.01; done").await;
        drop(group);
        child.wait().await.unwrap();
        assert_eq!(code_or_signal(&mut child), Some(-9));
    }
}
