//! `stitch run`: a program whose HTTP calls go through the proxy.
//!
//! The program stays in our process group, so that a terminal serves it as if we were not there;
//! signals that are sent to us alone are passed on. Its exit code becomes ours.

use crate::cli::{FileArg, ProxyChoice, RunArgs};
use crate::exit::{ExitCode, Failure};
use crate::file::{self, Choice};
use crate::proxy_env::ProxyAddress;
use crate::trust::Trust;
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;
use stitch_config::model::ListenAddress;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

/// What shells say of a program that is not there, or that may not be run.
const NOT_FOUND: ExitCode = ExitCode::Program(127);
const NOT_EXECUTABLE: ExitCode = ExitCode::Program(126);
/// Added to the number of the signal that ended a program, as shells do.
const SIGNALLED: i32 = 128;
/// A proxy on this machine or in its network accepts long before this.
const PROBE: Duration = Duration::from_millis(500);

const DEFAULT_PROXY: &str = "http://127.0.0.1:8080";

pub(super) async fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (program, arguments) =
        args.command.split_first().ok_or_else(|| Failure::usage("no program is given after --"))?;
    let surroundings = Surroundings::find(&args.file, &args.proxy)?;
    if let Err(why) = probe(&surroundings.proxy).await {
        let at = surroundings.proxy.authority();
        eprintln!("warning: no proxy answers at {at} ({why}); start it with `stitch up`");
    }
    let mut command = Command::new(program);
    command.args(arguments).envs(surroundings.variables());
    // Taken before the program starts, so that no signal falls between.
    let signals = Signals::new()?;
    let child = command.spawn().map_err(|error| not_started(program, &error))?;
    let status = signals.forward_to(child).await?;
    Ok(ExitCode::Program(code_of(status)))
}

/// What a program should find around it.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The proxy that it should use.
    pub(super) proxy: ProxyAddress,
    /// The CA that it should trust.
    pub(super) trust: Option<Trust>,
}

impl Surroundings {
    pub(super) fn find(file: &FileArg, choice: &ProxyChoice) -> Result<Self, Failure> {
        let environment = match (&choice.proxy, env::var("STITCH_PROXY")) {
            (Some(proxy), _) => Some(proxy.clone()),
            (None, Ok(proxy)) => Some(
                proxy
                    .parse()
                    .map_err(|error: String| Failure::usage(format!("STITCH_PROXY: {error}")))?,
            ),
            (None, Err(_)) => None,
        };
        let found = match file::choose(file, environment) {
            Choice::File(path) => Self::of_file(&path)?,
            Choice::Environment(proxy) => Self { proxy, trust: trust_if_made() },
            Choice::Nothing => {
                let proxy = DEFAULT_PROXY.parse().map_err(|error: String| Failure::usage(error))?;
                Self { proxy, trust: trust_if_made() }
            }
        };
        Ok(Self { proxy: found.proxy.named(choice.name.as_deref()), ..found })
    }

    fn of_file(path: &Path) -> Result<Self, Failure> {
        let config = file::load_valid(path)?.config;
        if config.proxy.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()) {
            eprintln!(
                "warning: proxy.tls.client_ca refuses plain connections, and programs talk to a \
                 proxy in no other way"
            );
        }
        let mut listen = config.proxy.listen.iter().filter_map(ListenAddress::tcp).peekable();
        let no_address = match listen.peek() {
            Some(_) => "proxy.listen is a port picked at start: pass --proxy with its URL",
            None => {
                "proxy.listen is a socket, and programs look for a proxy at an address: add one, or pass --proxy with a URL"
            }
        };
        let proxy = listen.find(|address| address.port() != 0);
        let proxy = proxy.ok_or_else(|| Failure::usage(no_address))?;
        Ok(Self { proxy: proxy.into(), trust: Trust::of(&config).map_err(Failure::runtime)? })
    }

    /// Every variable to set.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let trust = self.trust.iter().flat_map(Trust::variables);
        self.proxy.variables().into_iter().chain(trust).collect()
    }
}

/// Whether the proxy looks into HTTPS at all is unknown here, so that a CA that cannot be used is no
/// reason to stop.
fn trust_if_made() -> Option<Trust> {
    Trust::if_made().unwrap_or_else(|why| {
        eprintln!("warning: no CA is given to the program: {why}");
        None
    })
}

async fn probe(proxy: &ProxyAddress) -> io::Result<()> {
    let connect = TcpStream::connect(proxy.authority());
    match tokio::time::timeout(PROBE, connect).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("silent for {PROBE:?}"))),
    }
}

fn not_started(program: &OsStr, error: &io::Error) -> Failure {
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::runtime(format!("there is no program \"{program}\"")).exit(NOT_FOUND)
        }
        _ => Failure::runtime(format!("cannot run \"{program}\": {error}")).exit(NOT_EXECUTABLE),
    }
}

/// The exit code as a shell would tell it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// The signals that are passed on.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the program and passes signals on meanwhile.
    async fn forward_to(mut self, mut child: Child) -> io::Result<ExitStatus> {
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        loop {
            let signal = tokio::select! {
                status = child.wait() => return status,
                // Ctrl-C reaches every process of the terminal's foreground group by itself; a
                // second one would make many programs give up on an orderly end.
                _ = self.interrupt.recv() => (!in_foreground()).then_some(Signal::INT),
                _ = self.terminate.recv() => Some(Signal::TERM),
                _ = self.hang_up.recv() => Some(Signal::HUP),
            };
            if let (Some(pid), Some(signal)) = (pid, signal) {
                // It may have ended a moment ago; waiting for it tells.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

/// Whether our process group is the one that the terminal on standard input talks to.
fn in_foreground() -> bool {
    let foreground = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    foreground.is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::path::PathBuf;

    fn choice(proxy: Option<&str>, name: Option<&str>) -> ProxyChoice {
        ProxyChoice {
            name: name.map(str::to_owned),
            proxy: proxy.map(|proxy| proxy.parse().unwrap()),
        }
    }

    fn file(scratch: &Scratch, listen: &str) -> FileArg {
        let text = format!("proxy: {{ listen: \"{listen}\" }}\nservices: {{}}\n");
        FileArg { file: Some(scratch.write("stitch.yaml", &text)) }
    }

    async fn run_program(words: &[&str]) -> Result<ExitCode, Failure> {
        let args = RunArgs {
            file: FileArg::default(),
            proxy: choice(Some("http://127.0.0.1:1"), Some("web")),
            command: words.iter().map(Into::into).collect(),
        };
        run(&args).await
    }

    #[test]
    fn the_file_says_where_the_proxy_is() {
        let scratch = Scratch::new();
        let file = file(&scratch, "0.0.0.0:8088");
        let found = Surroundings::find(&file, &choice(None, Some("web"))).unwrap();
        assert_eq!(found.proxy.to_string(), "http://web@127.0.0.1:8088");
        assert_eq!(found.trust, None);
    }

    #[test]
    fn a_port_picked_at_start_must_be_told() {
        let scratch = Scratch::new();
        let file = file(&scratch, "127.0.0.1:0");
        let failure = Surroundings::find(&file, &choice(None, None)).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        assert!(failure.message().unwrap().contains("--proxy"));
    }

    #[test]
    fn a_socket_is_no_proxy_for_programs() {
        let scratch = Scratch::new();
        let file = file(&scratch, "unix:./stitch.sock");
        let failure = Surroundings::find(&file, &choice(None, None)).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        assert!(failure.message().unwrap().contains("is a socket"));
    }

    #[tokio::test]
    async fn the_program_sees_the_proxy_and_its_code_is_passed_on() {
        let script =
            r#"test "$http_proxy" = http://web@127.0.0.1:1 && test -z "$NO_PROXY" && exit 7"#;
        assert_eq!(run_program(&["sh", "-c", script]).await.unwrap().code(), 7);
    }

    #[tokio::test]
    async fn a_signal_that_ends_the_program_is_told_as_shells_do() {
        assert_eq!(run_program(&["sh", "-c", "kill -TERM $$"]).await.unwrap().code(), 143);
    }

    #[tokio::test]
    async fn a_program_that_cannot_start_is_named() {
        let failure = run_program(&["no-such-program-here"]).await.unwrap_err();
        assert_eq!(failure.exit.code(), 127);
        assert!(failure.message().unwrap().contains("\"no-such-program-here\""));

        let scratch = Scratch::new();
        let path: PathBuf = scratch.write("not-executable", "");
        let failure = run_program(&[path.to_str().unwrap()]).await.unwrap_err();
        assert_eq!(failure.exit.code(), 126);
    }
}
