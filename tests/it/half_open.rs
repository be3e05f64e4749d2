//! Peers that vanish without a word: a cable that is cut, a flow that a router has forgotten.
//!
//! Two network namespaces and a cable between them; where they cannot be made, the tests say so.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use stitch_kit::{Exit, Output, Run, Running, Scratch, Stitch, require, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);
const NEAR: &str = "10.79.0.1";
const FAR: &str = "10.79.0.2";

/// Stitch in one namespace, the rest of the world in the other.
struct Wire {
    near: String,
    far: String,
    scratch: Scratch,
}

impl Wire {
    /// `None` where this user may not.
    fn lay() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("stitch-half-{}-{number}-{side}", std::process::id());
        let wire = Self { near: name("near"), far: name("far"), scratch: Scratch::new() };
        for namespace in [&wire.near, &wire.far] {
            let added = ip(&["netns", "add", namespace]);
            if added.exit != Exit::Code(0) {
                eprintln!("not tested: no network namespace can be made here: {}", added.stderr);
                return None;
            }
        }
        let Self { near, far, .. } = &wire;
        let cable = ["link", "add", "cable", "netns", near, "type", "veth", "peer", "name"];
        let _ = ip(&[&cable[..], &["cable", "netns", far]].concat()).success();
        for (namespace, address) in [(near, NEAR), (far, FAR)] {
            let address = format!("{address}/24");
            for command in [
                &["addr", "add", &address, "dev", "cable"][..],
                &["link", "set", "cable", "up"],
                &["link", "set", "lo", "up"],
            ] {
                let _ = ip(&[&["-n", namespace], command].concat()).success();
            }
        }
        Some(wire)
    }

    fn run(&self, namespace: &str, program: &str) -> Run {
        Run::tool("ip").args(["netns", "exec", namespace]).arg(require(program))
    }

    /// From here on nothing arrives any more, and nobody hears of it.
    fn cut(&self) {
        let _ = ip(&["-n", &self.near, "link", "set", "cable", "down"]).success();
    }

    /// From here on nothing of this port of the near side arrives at the far one.
    fn forget(&self, port: &str) {
        let rule = ["-A", "INPUT", "-p", "tcp", "--sport", port, "-j", "DROP"];
        let _ = self.run(&self.far, "iptables").args(rule).output().success();
    }

    /// A script on the far side, running.
    fn python(&self, text: &str, args: &[&str]) -> Running {
        let script = self.scratch.write("script.py", text);
        self.run(&self.far, "python3").arg("-u").arg(script).args(args).spawn()
    }

    /// nginx on the far side, on port 80 and in HTTP/2 on 82: tells the port that it is asked from.
    fn nginx(&self) -> Running {
        let file = self.scratch.write(
            "nginx.conf",
            "daemon off; master_process off; pid nginx.pid; events {}\n\
             http { access_log off; client_body_temp_path body; proxy_temp_path proxy;\n\
             server { listen 80; listen 82 http2; return 200 \"$remote_port\"; } }\n",
        );
        let nginx = self.run(&self.far, "nginx").args(["-e", "stderr", "-p"]);
        let nginx = nginx.arg(self.scratch.path()).arg("-c").arg(file).spawn();
        let up = || self.run(&self.near, "curl").args(["-sS", &format!("http://{FAR}/")]).output();
        assert!(wait_until(PATIENCE, || up().exit == Exit::Code(0)), "{}", nginx.stderr());
        nginx
    }

    fn stitch(&self, yaml: &str) -> Stitch {
        use std::os::unix::fs::PermissionsExt;
        let (ip, near, stitch) = (require("ip"), &self.near, env!("CARGO_BIN_EXE_stitch"));
        let text = format!("#!/bin/sh\nexec {} netns exec {near} {stitch} \"$@\"\n", ip.display());
        let script = self.scratch.write("stitch", text);
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let listen = format!("{NEAR}:0");
        Stitch::builder().binary(script).yaml(yaml).args(["--listen", &listen]).start()
    }

    /// What the service `users` answers: the status and the body.
    fn ask(&self, proxy: SocketAddr) -> (String, String) {
        let curl =
            self.run(&self.near, "curl").args(["-sS", "-H", "host: users", "-w", " %{http_code}"]);
        let said = curl.arg(format!("http://{proxy}/")).output().success().stdout;
        let (body, status) = said.rsplit_once(' ').unwrap();
        (status.to_owned(), body.to_owned())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            // The cable goes with either; what was never made cannot be deleted.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn ip(args: &[&str]) -> Output {
    Run::tool("ip").args(args).output()
}

/// How many sockets a process has open.
fn sockets(process: u32) -> usize {
    let folder = Path::new("/proc").join(process.to_string()).join("fd");
    let files = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    let is_socket = |file: &std::fs::DirEntry| {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        target.to_string_lossy().starts_with("socket:")
    };
    files.filter(is_socket).count()
}

/// Clients that wait: between requests, for a slow answer, in the middle of a body, in a websocket,
/// and for the second half of a header section.
const CLIENTS: &str = r#"
import socket, sys, time
address = (sys.argv[1], int(sys.argv[2]))
held = []
for text in [
    "",
    "GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: users\r\ncontent-length: 9\r\n\r\nabc",
    "GET / HTTP/1.1\r\nhost: users\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "GET / HTT",
]:
    client = socket.create_connection(address)
    client.sendall(text.encode())
    held.append(client)
print('{"event": "waiting"}')
time.sleep(60)
"#;

/// Agrees to every upgrade, and says nothing besides.
const SERVER: &str = r#"
import socket, sys
listener = socket.create_server(("10.79.0.2", 81))
print('{"event": "ready"}')
held = []
while True:
    client, _ = listener.accept()
    head = client.recv(4096)
    if b"upgrade" in head:
        client.sendall(b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    held.append(client)
"#;

#[test]
fn clients_and_services_that_vanish_are_not_waited_for() {
    let Some(wire) = Wire::lay() else { return };
    let server = wire.python(SERVER, &[]);
    server.wait_for_stdout(|line| line["event"] == "ready");
    let stitch = wire.stitch(&format!(
        "defaults: {{ timeout: {{ idle: 1500ms }} }}\n\
         proxy: {{ limits: {{ header_timeout: 1500ms, idle: 1500ms }} }}\n\
         services: {{ users: {{ url: 'http://{FAR}:81' }}, \
         shop: {{ endpoints: [{{ path: /slow, delay: 60s }}] }} }}"
    ));
    let before = sockets(stitch.id());
    let clients = wire.python(CLIENTS, &[NEAR, &stitch.proxy().port().to_string()]);
    clients.wait_for_stdout(|line| line["event"] == "waiting");
    // Five clients, and the service twice.
    assert!(wait_until(PATIENCE, || sockets(stitch.id()) == before + 7));
    wire.cut();
    let freed = wait_until(PATIENCE, || sockets(stitch.id()) == before);
    assert!(freed, "{} are kept", sockets(stitch.id()) - before);
}

#[test]
fn a_connection_that_a_router_has_forgotten_is_not_used_again() {
    let Some(wire) = Wire::lay() else { return };
    let _nginx = wire.nginx();
    for url in [format!("http://{FAR}"), format!("h2c://{FAR}:82")] {
        let stitch = wire.stitch(&format!(
            "proxy: {{ workers: 1 }}\n\
             services: {{ users: {{ url: '{url}', timeout: {{ request: 700ms }} }} }}"
        ));
        let (status, port) = wire.ask(stitch.proxy());
        assert_eq!(status, "200", "{url}");
        assert_eq!(wire.ask(stitch.proxy()), (status, port.clone()), "kept, and used again");
        wire.forget(&port);
        let answers: Vec<_> = (0..3).map(|_| wire.ask(stitch.proxy())).collect();
        // The first may find out the hard way.
        assert_eq!((answers[1].0.as_str(), answers[2].0.as_str()), ("200", "200"), "{url}");
        assert_ne!(answers[1].1, port);
    }
}
