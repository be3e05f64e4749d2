//! PostgreSQL and Redis, each on a free port and on a socket, in a folder of its own.

use crate::process::{Output, PATIENCE, Process, Run, Running, Signal};
use crate::scratch::Scratch;
use crate::wait::{free_port, require, wait_until};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A port can be taken between its choice and the server's bind; this often is no accident any more.
const ATTEMPTS: usize = 5;

/// A running database with a superuser `test` and a database `postgres`; no password is asked for.
#[derive(Debug)]
pub struct Postgres {
    address: SocketAddr,
    process: Running,
    scratch: Scratch,
}

impl Postgres {
    /// Makes a new database, and starts the server on it.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        let scratch = open_scratch();
        let data = scratch.join("data");
        as_somebody(&postgres_program("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=test", "--encoding=UTF8", "-D"])
            .arg(&data)
            .output()
            .success();
        let (process, address) = on_free_port("PostgreSQL", |port| {
            let process = as_somebody(&postgres_program("postgres"))
                .env("LC_ALL", "C")
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p"])
                .arg(port.to_string())
                .arg("-k")
                .arg(scratch.path())
                .arg("-D")
                .arg(&data)
                .spawn();
            let ready = "database system is ready to accept connections";
            (process, Box::new(move |process: &Process| process.stderr().contains(ready)))
        });
        Self { address, process, scratch }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.join(&format!(".s.PGSQL.{}", self.address.port()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The polite signal of a handle would make it wait for its clients.
        self.process.signal(Signal::INT);
        self.process.wait_exit_within(PATIENCE);
    }
}

/// Runs SQL with the real psql against this address; rows come without decoration.
#[track_caller]
#[must_use]
pub fn psql(address: SocketAddr, sql: &str) -> Output {
    Run::tool("psql")
        .env("PGCONNECT_TIMEOUT", "20")
        .env("PGSSLMODE", "disable")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "test", "-d", "postgres"])
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-c", sql])
        .output()
}

/// A running Redis that keeps nothing.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    _process: Running,
    scratch: Scratch,
}

impl Redis {
    /// Starts one.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        let scratch = Scratch::new();
        let (process, address) = on_free_port("Redis", |port| {
            let process = Run::tool("redis-server")
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
                .arg(port.to_string())
                .arg("--dir")
                .arg(scratch.path())
                .arg("--unixsocket")
                .arg(scratch.join("redis.sock"))
                .spawn();
            let ready = "eady to accept connections";
            (process, Box::new(move |process: &Process| process.stdout().contains(ready)))
        });
        Self { address, _process: process, scratch }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.join("redis.sock")
    }
}

/// The real redis-cli against this address.
#[track_caller]
#[must_use]
pub fn redis_cli(address: SocketAddr, args: &[&str]) -> Output {
    Run::tool("redis-cli")
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(args)
        .output()
}

type IsReady = Box<dyn Fn(&Process) -> bool>;

#[track_caller]
fn on_free_port(name: &str, start: impl Fn(u16) -> (Running, IsReady)) -> (Running, SocketAddr) {
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let port = free_port();
        let (process, ready) = start(port);
        let up = wait_until(PATIENCE, || process.exited().is_some() || ready(&process));
        if up && process.exited().is_none() {
            return (process, SocketAddr::from(([127, 0, 0, 1], port)));
        }
        process.stop();
        said = process.stdout() + &process.stderr();
    }
    panic!("{name} does not start:\n{said}")
}

/// Debian keeps PostgreSQL's own programs apart by version; the newest is taken.
#[track_caller]
fn postgres_program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name));
    let number = |path: &PathBuf| -> Option<u32> {
        path.ancestors().nth(2)?.file_name()?.to_str()?.parse().ok()
    };
    programs.filter(|path| path.is_file()).max_by_key(number).unwrap_or_else(|| require(name))
}

/// PostgreSQL refuses to run as root: there it runs as nobody.
#[track_caller]
fn as_somebody(program: &Path) -> Run {
    if !rustix::process::geteuid().is_root() {
        return Run::program(program);
    }
    let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"];
    Run::tool("setpriv").args(nobody).arg(program)
}

/// A folder in which anybody may make something.
#[track_caller]
fn open_scratch() -> Scratch {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o777))
        .unwrap_or_else(|error| panic!("cannot open up {}: {error}", scratch.path().display()));
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_answers_and_goes() {
        let postgres = Postgres::start();
        assert_eq!(psql(postgres.addr(), "select 6 * 7").success().stdout, "42\n");
        assert!(psql(postgres.addr(), "select nonsense").code() == 1);
        assert!(postgres.socket().exists());
        let address = postgres.addr();
        drop(postgres);
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn redis_answers() {
        let redis = Redis::start();
        assert_eq!(redis_cli(redis.addr(), &["SET", "a", "1"]).success().stdout, "OK\n");
        assert_eq!(redis_cli(redis.addr(), &["INCR", "a"]).success().stdout, "2\n");
        assert!(redis.socket().exists());
    }
}
