//! curl, and scripts in Python and Node: clients and servers nobody here wrote.

use crate::process::Process;
use crate::process::{Output, Run, Running};
use crate::wait::require;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Runs the real curl, silent but for errors and without a config file.
#[track_caller]
#[must_use]
pub fn curl(args: &[&str]) -> Output {
    Run::tool("curl").args(["-q", "-sS", "--max-time", "20"]).args(args).output()
}

/// A Node program: `.env(…)`, then `.output()` or `.spawn()`.
#[track_caller]
#[must_use]
pub fn node(script: &str) -> Run {
    Run::script(&require("node"), "script.mjs", script)
}

/// A Python program, with the packages that `scripts/test` installs.
#[track_caller]
#[must_use]
pub fn python(script: &str) -> Run {
    Run::script(&interpreter(), "script.py", script).env("PYTHONUNBUFFERED", "1")
}

/// Python's own file server over a folder.
#[track_caller]
#[must_use]
pub fn python_http(folder: &Path) -> PythonHttp {
    let process = Run::program(&interpreter())
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"])
        .arg(folder)
        .arg("0")
        .spawn();
    // "Serving HTTP on 127.0.0.1 port 40123 (http://127.0.0.1:40123/) ..."
    let port: u16 =
        process.pick_stdout(|line| line.split_once(" port ")?.1.split(' ').next()?.parse().ok());
    PythonHttp { address: SocketAddr::from(([127, 0, 0, 1], port)), process }
}

/// A running `python3 -m http.server`; everything that [`Process`] can do.
#[derive(Debug)]
pub struct PythonHttp {
    address: SocketAddr,
    process: Running,
}

impl PythonHttp {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl std::ops::Deref for PythonHttp {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// The venv that `scripts/test` makes, so that a plain `cargo test` finds its packages too.
fn interpreter() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python3");
    if venv.exists() { venv } else { require("python3") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scratch, Upstream};

    #[test]
    fn curl_is_the_real_one() {
        let upstream = Upstream::echo();
        let url = format!("{}/a", upstream.url());
        let output = curl(&["-w", " %{http_code}", &url]).success();
        assert!(output.stdout.contains("\"target\":\"/a\"") && output.stdout.ends_with(" 200"));
        assert!(upstream.requests()[0].header("user-agent").unwrap().starts_with("curl/"));
        drop(upstream);
        assert_eq!(curl(&[&url]).code(), 7, "refused");
    }

    #[test]
    fn scripts_get_their_environment() {
        let script = "import os, sys; print(os.environ['COLOUR']); sys.exit(3)";
        let output = python(script).env("COLOUR", "green").output();
        assert_eq!((output.code(), output.stdout.as_str()), (3, "green\n"));
        let script = "console.log(process.env.COLOUR)";
        let output = node(script).env("COLOUR", "blue").output().success();
        assert_eq!(output.stdout, "blue\n");
    }

    #[test]
    fn a_script_left_running_is_ended_with_its_handle() {
        let script = "import time; print('{\"up\": 1}'); time.sleep(60)";
        let running = python(script).spawn();
        running.wait_for_stdout(|line| line["up"] == 1);
        assert!(running.exited().is_none());
    }

    #[test]
    fn a_folder_is_served() {
        let scratch = Scratch::new();
        scratch.write("a.txt", "hello");
        let server = python_http(scratch.path());
        let answer = crate::http::get(server.addr(), "/a.txt", &[]);
        assert_eq!(answer.text(), "hello");
        assert!(server.url().starts_with("http://127.0.0.1:") && server.exited().is_none());
    }
}
