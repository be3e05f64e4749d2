//! Waiting, with a limit, and the programs a test cannot do without.
//!
//! The only place in the tests that sleeps: everything else blocks on a socket, a pipe or a
//! condition variable, or polls through here.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Folders of daemons that an ordinary user's `PATH` leaves out.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Polls `condition` until it holds; false when `limit` has passed without that.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Does nothing for a while: for peers that are slow on purpose, never to wait for something.
pub(crate) fn dawdle(time: Duration) {
    std::thread::sleep(time);
}

/// The path of a program that the test drives.
///
/// # Panics
/// When it is not installed, naming the Debian package: a test never skips itself silently.
#[track_caller]
#[must_use]
pub fn require(tool: &str) -> PathBuf {
    find(tool).unwrap_or_else(|| {
        panic!(
            "the program `{tool}` is needed by this test and is not installed: \
             run scripts/test --prepare, or apt-get install {}",
            package(tool)
        )
    })
}

/// A TCP port of 127.0.0.1 that was free a moment ago, for programs that cannot take port 0.
/// Another process may take it first, so whoever uses this must be ready to try again.
#[track_caller]
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free port on 127.0.0.1: {error}"))
        .port()
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(tool))
        .find(|candidate| is_program(candidate))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn package(tool: &str) -> &str {
    match tool {
        "node" => "nodejs",
        "docker" => "docker.io",
        "h2load" | "nghttp" => "nghttp2-client",
        "ip" => "iproute2",
        "postgres" | "initdb" => "postgresql",
        "psql" => "postgresql-client",
        "redis-cli" => "redis-tools",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        assert!(wait_until(Duration::from_secs(5), || {
            looks += 1;
            looks == 3
        }));
        assert_eq!(looks, 3);
    }

    #[test]
    fn a_condition_that_never_comes_true_is_given_up() {
        let start = Instant::now();
        assert!(!wait_until(Duration::from_millis(20), || false));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_present_program_is_found() {
        assert!(require("sh").is_absolute());
    }

    #[test]
    #[should_panic(expected = "apt-get install no-such-program")]
    fn a_missing_program_is_named() {
        let _ = require("no-such-program");
    }

    #[test]
    fn package_names_differ_from_commands_only_where_debian_does() {
        assert_eq!(package("node"), "nodejs");
        assert_eq!(package("curl"), "curl");
    }

    #[test]
    fn a_free_port_can_be_bound() {
        TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    }
}
