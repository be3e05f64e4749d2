//! Servers in Python that speak what the harness itself does not: gRPC, WebSocket, events, TLS.
//!
//! Each picks its own port and says it in a line of JSON. What else they say is at the top of the
//! script in `scripts/`.

use super::script::python;
use crate::certificates::Certificate;
use crate::process::{Process, Run, Running};
use serde_json::Value;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;

/// A running server; everything that [`Process`] can do.
#[derive(Debug)]
pub struct PythonServer {
    address: SocketAddr,
    process: Running,
}

impl PythonServer {
    /// A gRPC server with the service `stitch.test.Echo` and the health service, without TLS.
    #[track_caller]
    #[must_use]
    pub fn grpc() -> Self {
        Self::start(python(include_str!("scripts/grpc_server.py")))
    }

    /// As [`PythonServer::grpc`], with TLS.
    #[track_caller]
    #[must_use]
    pub fn grpc_tls(certificate: &Certificate) -> Self {
        let run = python(include_str!("scripts/grpc_server.py"));
        Self::start(run.arg(&certificate.cert).arg(&certificate.key))
    }

    /// The files of a folder, over TLS.
    #[track_caller]
    #[must_use]
    pub fn https(certificate: &Certificate, folder: &Path) -> Self {
        let run = python(include_str!("scripts/https_server.py"));
        Self::start(run.arg(&certificate.cert).arg(&certificate.key).arg(folder))
    }

    /// A WebSocket server that says everything back.
    #[track_caller]
    #[must_use]
    pub fn websocket() -> Self {
        Self::start(python(include_str!("scripts/websocket_server.py")))
    }

    /// A server of events that sends the next one when it is asked to.
    #[track_caller]
    #[must_use]
    pub fn events() -> Self {
        Self::start(python(include_str!("scripts/events_server.py")))
    }

    #[track_caller]
    fn start(run: Run) -> Self {
        let process = run.spawn();
        let port = process.pick_stdout(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            u16::try_from(line["port"].as_u64()?).ok()
        });
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL of this scheme, without a slash at the end.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The first line it has said or will say whose `event` is this and that `accept` takes.
    #[track_caller]
    pub fn wait_for_event(&self, event: &str, mut accept: impl FnMut(&Value) -> bool) -> Value {
        self.process.wait_for_stdout(|line| line["event"] == event && accept(line))
    }
}

impl Deref for PythonServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
