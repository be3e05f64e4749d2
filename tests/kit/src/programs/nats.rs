//! A NATS server that can go away and come back on the same port.

use crate::process::PATIENCE;
use crate::process::{Run, Running};
use crate::scratch::Scratch;
use crate::wait::wait_until;
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};

/// A NATS server; stopped and started again it keeps its address.
#[derive(Debug)]
pub struct NatsServer {
    address: SocketAddr,
    process: Option<Running>,
    _scratch: Scratch,
}

impl NatsServer {
    /// Starts one on a free port, which the server itself picks and reports.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        let scratch = Scratch::new();
        let process = Run::tool("nats-server")
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(scratch.path())
            .spawn();
        let file = scratch.join(&format!("nats-server_{}.ports", process.id()));
        let mut address = None;
        wait_until(PATIENCE, || {
            address = std::fs::read_to_string(&file).ok().and_then(|text| reported(&text));
            address.is_some() || process.exited().is_some()
        });
        let Some(address) = address else {
            panic!("nats-server reported no port:\n{}", process.stderr())
        };
        Self { address, process: Some(process), _scratch: scratch }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `nats://` and its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Ends it; its address stays its own.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Ends it if it runs, and starts it on the same port.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        let port = self.address.port().to_string();
        let process = Run::tool("nats-server").args(["-a", "127.0.0.1", "-p", &port]).spawn();
        let answers = || TcpStream::connect(self.address).is_ok();
        let up = wait_until(PATIENCE, || process.exited().is_some() || answers());
        assert!(up && process.exited().is_none(), "nats-server is gone:\n{}", process.stderr());
        self.process = Some(process);
    }
}

/// The address in a ports file: `{"nats": ["nats://127.0.0.1:PORT"], …}`.
fn reported(text: &str) -> Option<SocketAddr> {
    let ports: Value = serde_json::from_str(text).ok()?;
    ports["nats"][0].as_str()?.strip_prefix("nats://")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn greeting(address: SocketAddr) -> String {
        let mut line = String::new();
        let stream = TcpStream::connect(address).unwrap();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn it_comes_back_on_the_same_port() {
        let mut nats = NatsServer::start();
        assert!(greeting(nats.addr()).starts_with("INFO {"));
        nats.stop();
        assert!(TcpStream::connect(nats.addr()).is_err());
        nats.restart();
        assert!(greeting(nats.addr()).starts_with("INFO {"));
        assert_eq!(nats.url(), format!("nats://{}", nats.addr()));
    }

    #[test]
    fn a_ports_file_is_read_only_when_whole() {
        assert_eq!(reported(r#"{"nats":["nats://127.0.0.1:4"]}"#), "127.0.0.1:4".parse().ok());
        assert_eq!(reported(r#"{"nats":["#), None);
    }
}
