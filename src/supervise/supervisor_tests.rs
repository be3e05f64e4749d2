//! Real programs under supervision.

use super::*;
use crate::report::Paint;
use crate::supervise::restarts::Patience;
use crate::testing;
use std::io::{self, Write};
use tokio::sync::{mpsc, watch};

/// Ends a test that would otherwise wait for ever.
const LIMIT: Duration = Duration::from_secs(30);

/// Says a line, then runs until told to end.
const SERVE: &str = "echo up; trap 'exit 0' TERM; while :; do sleep 0.01; done";

fn quick() -> Timing {
    let patience = Patience {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(20),
        ..Patience::default()
    };
    Timing { grace: Duration::from_secs(2), prerequisites: LIMIT, patience }
}

struct Lines(mpsc::UnboundedSender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Bench {
    supervisor: Supervisor,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Bench {
    fn start(services: &str, timing: Timing) -> Self {
        let (lines, received) = mpsc::unbounded_channel();
        let output = Output::to(Lines(lines), Paint::OFF);
        let proxy = Some("127.0.0.1:8080".parse().unwrap());
        let supervisor = Supervisor::with(&config(services), proxy, timing, output);
        Self { supervisor, lines: received }
    }

    /// Waits for this line.
    #[track_caller]
    fn expect(&mut self, wanted: &str) -> impl Future<Output = ()> {
        let wait = async move {
            while let Some(line) = self.lines.recv().await {
                if line.trim_end() == wanted {
                    return;
                }
            }
            panic!("no line {wanted:?}");
        };
        async move { timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("no line {wanted:?}")) }
    }

    async fn until(&self, wanted: impl Fn(&[CommandState]) -> bool) -> Vec<CommandState> {
        let board = &self.supervisor.board;
        timeout(LIMIT, board.wait_until(|board| wanted(&board.states()))).await.unwrap();
        board.states()
    }

    fn state(&self, name: &str) -> Option<CommandState> {
        self.supervisor.states().into_iter().find(|one| one.name == name)
    }
}

fn config(services: &str) -> Config {
    testing::config(&format!("services:\n{services}"))
}

/// A service whose command is a shell script without double quotes, with further keys.
fn service(name: &str, url: &str, script: &str, more: &str) -> String {
    let command = format!("sh -c \"{script}\"");
    format!("  {name}:\n    url: {url}\n    command: {command:?}\n{more}")
}

/// A URL that answers every request as told.
async fn answering(status: watch::Receiver<&'static str>) -> String {
    format!("http://{}", testing::answering(move |_| (*status.borrow(), "")).await)
}

async fn healthy() -> String {
    answering(watch::channel("200 OK").1).await
}

#[tokio::test]
async fn output_is_prefixed_and_the_environment_set() {
    let script = "echo $PORT $HTTP_PROXY >&2; while :; do sleep 0.01; done";
    let more = "    proxied: true\n    env: { PORT: '8000' }\n";
    let mut bench = Bench::start(&service("web", &healthy().await, script, more), quick());
    bench.expect("web | 8000 http://web@127.0.0.1:8080").await;
    bench.supervisor.shutdown().await;
    assert_eq!(bench.supervisor.states(), []);
}

#[tokio::test]
async fn ready_when_every_command_answers() {
    let (say, status) = watch::channel("503 Starting");
    let url = answering(status).await;
    let bench = Bench::start(&service("users", &url, SERVE, ""), quick());
    let late = bench.supervisor.wait_ready(Duration::from_millis(20)).await;
    assert_eq!((late.len(), late[0].name.as_str()), (1, "users"));
    assert_ne!(late[0].state, State::Up);
    say.send("404 Not Found").unwrap();
    assert_eq!(bench.supervisor.wait_ready(LIMIT).await, []);
    assert!(bench.state("users").unwrap().pid.is_some());
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_command_waits_for_those_it_depends_on() {
    let (say, status) = watch::channel("503 Starting");
    let url = answering(status).await;
    let web = service("web", &healthy().await, SERVE, "    depends_on: [users]\n");
    let mut bench = Bench::start(&(web + &service("users", &url, SERVE, "")), quick());
    bench.expect("users | up").await;
    assert_eq!(bench.state("web").unwrap().state, State::Waiting);
    say.send("200 OK").unwrap();
    bench.expect("web   | up").await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn the_wait_for_dependencies_has_an_end() {
    let (_say, status) = watch::channel("503 Starting");
    let url = answering(status).await;
    let web = service("web", &healthy().await, SERVE, "    depends_on: [users]\n");
    let timing = Timing { prerequisites: Duration::from_millis(20), ..quick() };
    let mut bench = Bench::start(&(web + &service("users", &url, SERVE, "")), timing);
    bench.expect("web   | up").await;
    assert_ne!(bench.state("users").unwrap().state, State::Up);
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn what_ends_is_started_again_until_it_is_a_crash_loop() {
    let script = "echo broken; exit 3";
    let mut bench = Bench::start(&service("a", "http://127.0.0.1:1", script, ""), quick());
    let looping = |states: &[CommandState]| states[0].state == State::CrashLoop;
    let states = bench.until(looping).await;
    assert_eq!(states[0].pid, None);
    assert!(states[0].restarts >= 4, "{states:?}");
    bench.expect("a | --- crash loop; its last words were:").await;
    for _ in 0..5 {
        bench.expect("a | broken").await;
    }
    bench.until(|states| states[0].restarts >= 6).await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_crash_too() {
    let services = "  a: { url: 'http://127.0.0.1:1', command: ./no-such-program }\n";
    let bench = Bench::start(services, quick());
    bench.until(|states| states[0].restarts >= 1).await;
    bench.supervisor.shutdown().await;
    assert_eq!(bench.supervisor.states(), []);
}

#[tokio::test]
async fn a_reload_touches_only_what_changed() {
    let url = healthy().await;
    let services = |names: &[(&str, &str)]| -> String {
        names.iter().map(|(name, more)| service(name, &url, SERVE, more)).collect()
    };
    let bench = Bench::start(&services(&[("same", ""), ("other", ""), ("gone", "")]), quick());
    assert_eq!(bench.supervisor.wait_ready(LIMIT).await, []);
    let pid = |name: &str| bench.state(name).and_then(|state| state.pid);
    let (same, other) = (pid("same"), pid("other"));

    let more = "    env: { A: '1' }\n";
    let changed = services(&[("new", ""), ("same", "    port: 0\n"), ("other", more)]);
    bench.supervisor.update(&config(&changed));
    bench.until(|states| states.len() == 3 && states.iter().all(|s| s.state == State::Up)).await;
    assert_eq!(pid("same"), same);
    assert!(pid("other").is_some() && pid("other") != other);
    assert!(pid("new").is_some());
    assert_eq!(bench.state("gone"), None);
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn changes_are_told() {
    let bench = Bench::start(&service("users", &healthy().await, SERVE, ""), quick());
    let (told, mut states) = mpsc::unbounded_channel();
    let watch = bench.supervisor.watch(move |states| drop(told.send(states)));
    let watching = tokio::spawn(watch);
    let up = async {
        while let Some(states) = states.recv().await {
            if states.iter().all(|one| one.state == State::Up) {
                return;
            }
        }
    };
    timeout(LIMIT, up).await.unwrap();
    bench.supervisor.shutdown().await;
    drop(bench);
    timeout(LIMIT, watching).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_supervisor_stops_its_commands() {
    let mut bench = Bench::start(&service("users", &healthy().await, SERVE, ""), quick());
    bench.expect("users | up").await;
    let board = bench.supervisor.board.clone();
    drop(bench.supervisor);
    timeout(LIMIT, board.wait_until(|board| board.states().is_empty())).await.unwrap();
}
