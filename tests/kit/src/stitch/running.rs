//! The handle on a running `stitch`.

use super::ready::address_of;
use super::{Ready, StitchBuilder, builder};
use crate::process::Process;
use crate::process::{Run, Running};
use crate::scratch::Scratch;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A running `stitch`; everything that [`Process`] can do, and its addresses.
#[derive(Debug)]
pub struct Stitch {
    process: Running,
    ready: Ready,
    main: Option<PathBuf>,
    scratch: Scratch,
}

impl Stitch {
    pub(super) fn new(
        process: Running,
        ready: Ready,
        main: Option<PathBuf>,
        scratch: Scratch,
    ) -> Self {
        Self { process, ready, main, scratch }
    }

    /// Says which binary is under test: `Stitch::binary(env!("CARGO_BIN_EXE_stitch"))`. Without
    /// it, the one that Cargo built beside the test program is taken.
    pub fn binary(path: &str) {
        builder::set_binary(path);
    }

    /// `stitch up` on this text, ready.
    #[track_caller]
    #[must_use]
    pub fn up(yaml: &str) -> Self {
        Self::builder().yaml(yaml).start()
    }

    /// A run with more to say than one file.
    #[must_use]
    pub fn builder() -> StitchBuilder {
        StitchBuilder::new()
    }

    /// `stitch ARGS…`, for commands that end by themselves: `.cwd(…)`, `.env(…)`, `.output()`.
    #[track_caller]
    #[must_use]
    pub fn run(args: &[&str]) -> Run {
        Run::program(&builder::binary()).args(args)
    }

    /// What it said when everything was bound.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Where the proxy listens.
    #[track_caller]
    #[must_use]
    pub fn proxy(&self) -> SocketAddr {
        self.address("proxy")
    }

    /// The proxy's URL, without a slash at the end.
    #[track_caller]
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy())
    }

    /// Where the admin API listens.
    #[track_caller]
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.address("admin")
    }

    /// The address under any top-level key of the ready line, such as `mockd`.
    #[track_caller]
    #[must_use]
    pub fn address(&self, key: &str) -> SocketAddr {
        self.ready
            .url(key)
            .and_then(address_of)
            .unwrap_or_else(|| panic!("no address under `{key}` in {}", self.ready.json()))
    }

    /// The first URL of a service's own listener.
    #[track_caller]
    #[must_use]
    pub fn service_url(&self, name: &str) -> String {
        self.ready
            .service(name)
            .and_then(|urls| urls.first().map(|&url| url.to_owned()))
            .unwrap_or_else(|| panic!("no URL of service `{name}` in {}", self.ready.json()))
    }

    /// The address of a service's own listener.
    #[track_caller]
    #[must_use]
    pub fn service(&self, name: &str) -> SocketAddr {
        let url = self.service_url(name);
        address_of(&url).unwrap_or_else(|| panic!("no address in `{url}` of service `{name}`"))
    }

    /// The file it was started with.
    ///
    /// # Panics
    /// When it was started without one.
    #[track_caller]
    #[must_use]
    pub fn path(&self) -> &Path {
        self.main.as_deref().unwrap_or_else(|| panic!("this stitch was started without a file"))
    }

    /// Replaces the file it was started with, in one step.
    #[track_caller]
    pub fn rewrite(&self, yaml: &str) {
        let name = self.path().strip_prefix(self.scratch.path()).unwrap_or(self.path());
        self.rewrite_file(&name.to_string_lossy(), yaml);
    }

    /// Replaces or adds a file of its folder, in one step.
    #[track_caller]
    pub fn rewrite_file(&self, name: &str, text: &str) {
        self.scratch.write(name, text);
    }
}

impl Deref for Stitch {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Exit, Signal};

    /// Says ready like the real one, echoes its arguments, then waits for a signal.
    const STAND_IN: &str = r#"#!/bin/sh
trap 'exit 0' TERM
echo started >&2
echo "{\"event\":\"args\",\"args\":\"$*\",\"colour\":\"$COLOUR\"}"
echo '{"event":"ready","proxy":"http://127.0.0.1:8080","admin":"http://127.0.0.1:9900",
' | tr -d '\n'
echo '"services":[{"name":"users","kind":"http","urls":["http://127.0.0.1:8001/"]}]}'
while :; do sleep 0.01; done
"#;

    fn stand_in(scratch: &Scratch, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = scratch.write("stitch", text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_run_is_ready_with_addresses_and_ends_when_told() {
        let scratch = Scratch::new();
        let stitch = Stitch::builder()
            .binary(stand_in(&scratch, STAND_IN))
            .yaml("seed: 1")
            .file("more/a.yaml", "vars: {}")
            .env("COLOUR", "green")
            .args(["--admin=127.0.0.1:7"])
            .start();
        assert_eq!(stitch.proxy_url(), "http://127.0.0.1:8080");
        assert_eq!(stitch.admin().port(), 9900);
        assert_eq!(stitch.service("users").port(), 8001);
        assert_eq!(stitch.service_url("users"), "http://127.0.0.1:8001/");
        let said = stitch.wait_for_stdout(|line| line["event"] == "args");
        let expected = format!(
            "up {} --format json --listen 127.0.0.1:0 --admin=127.0.0.1:7",
            stitch.path().display()
        );
        assert_eq!(said["args"], expected);
        assert_eq!(said["colour"], "green");

        stitch.rewrite("seed: 2");
        assert_eq!(std::fs::read_to_string(stitch.path()).unwrap(), "seed: 2");
        stitch.rewrite_file("more/a.yaml", "vars: {a: 1}");
        let more = stitch.path().with_file_name("more/a.yaml");
        assert_eq!(std::fs::read_to_string(more).unwrap(), "vars: {a: 1}");

        stitch.signal(Signal::TERM);
        assert_eq!(stitch.wait_exit(), Exit::Code(0));
        assert_eq!(stitch.stderr(), "started\n");
    }

    #[test]
    #[should_panic(expected = "no URL of service `orders`")]
    fn an_unknown_service_is_named() {
        let scratch = Scratch::new();
        let builder = Stitch::builder().binary(stand_in(&scratch, STAND_IN)).command("mockd");
        let stitch = builder.start();
        let _ = stitch.service("orders");
    }

    #[test]
    #[should_panic(expected = "port is taken")]
    fn a_start_that_fails_shows_why() {
        let scratch = Scratch::new();
        let text = "#!/bin/sh\necho port is taken >&2\nexit 3\n";
        let _ = Stitch::builder().binary(stand_in(&scratch, text)).yaml("").start();
    }

    #[test]
    fn a_command_that_ends_gives_its_output() {
        let scratch = Scratch::new();
        let binary = stand_in(&scratch, "#!/bin/sh\necho \"$@\"; ls\nexit 1\n");
        let builder = Stitch::builder().binary(binary).yaml("").command("check");
        assert!(builder.folder().join("stitch.yaml").is_file());
        let output = builder.output();
        assert_eq!(output.code(), 1);
        assert!(output.stdout.starts_with("check ") && output.stdout.ends_with("stitch.yaml\n"));
    }
}
