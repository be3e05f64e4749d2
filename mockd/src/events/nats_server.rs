//! A real nats-server for tests; `scripts/test --prepare` installs it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; killed when dropped.
pub(super) struct NatsServer {
    child: Child,
    pub(super) port: u16,
}

impl NatsServer {
    /// Starts a server on a free port, or on one that another had before.
    pub(super) fn start(port: Option<u16>) -> Self {
        let directory = ports_directory();
        let mut command = Command::new("nats-server");
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            &port.map_or("-1".to_owned(), |port| port.to_string()),
        ]);
        command.arg("--ports_file_dir").arg(&directory);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("nats-server cannot be started: {error}; scripts/test --prepare installs it")
        });
        let mut server = Self { child, port: 0 };
        server.port = server.wait_for_port(&directory);
        std::fs::remove_dir_all(&directory).unwrap();
        server
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The server writes its ports into a file once it listens.
    fn wait_for_port(&mut self, directory: &std::path::Path) -> u16 {
        let file = directory.join(format!("nats-server_{}.ports", self.child.id()));
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let ports: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(url) = ports["nats"][0].as_str() {
                return url.rsplit(':').next().unwrap().parse().unwrap();
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "nats-server ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("nats-server does not say where it listens");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn ports_directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("stitch-nats-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
