//! Two network namespaces with a cable between them: a program and stitch in one, the world in the
//! other. Root runs stitch, nobody is the program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use stitch_kit::{
    Certificate, Certificates, Output, Run, Running, Scratch, Signal, Stitch, require, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Where the world is.
pub(super) const V4: &str = "10.77.0.2";
pub(super) const V6: &str = "fd77::2";
/// Who the program is; the rules leave out root, who runs stitch.
const NOBODY: &str = "65534";

/// Says back what it hears on 7777, on 7778 it greets first. On 7779 it tells of connections, and
/// answers one when there is no other.
const ECHO: &str = r#"
import asyncio

async def echo(reader, writer, greeting=b''):
    writer.write(greeting)
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def main():
    greet = lambda reader, writer: echo(reader, writer, b'220 welcome\r\n')
    there, alone = set(), asyncio.Condition()
    async def single(reader, writer):
        there.add(writer)
        print('{"event": "connected"}', flush=True)
        if data := await reader.read(65536):
            async with alone:
                await alone.wait_for(lambda: len(there) == 1)
            await echo(reader, writer, data)
        async with alone:
            there.remove(writer)
            alone.notify_all()
    for port, serve in [(7777, echo), (7778, greet), (7779, single)]:
        await asyncio.start_server(serve, '::', port)
        await asyncio.start_server(serve, '0.0.0.0', port)
    print('{"event": "ready"}', flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

/// Becomes a user, sends a text, ends its half and prints everything it hears; without a text it
/// waits to be greeted. A fifth argument is the signal that it waits for before it speaks, in
/// hexadecimal then. Others may not be able to run this user's Python.
const CLIENT: &str = r"
import encodings.idna, errno, os, signal, socket, sys
user, host, port, text = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
cue = [int(number) for number in sys.argv[5:]]
if cue:
    text = bytes.fromhex(sys.argv[4])
    signal.pthread_sigmask(signal.SIG_BLOCK, cue)
os.setuid(user)
try:
    with socket.create_connection((host, port), 10) as stream:
        if not text:
            print(stream.recv(100))
        if cue:
            signal.sigwait(cue)
        stream.sendall(text)
        stream.shutdown(socket.SHUT_WR)
        heard = b''
        while data := stream.recv(65536):
            heard += data
        print(heard)
except OSError as error:
    # A reset that comes between two calls shows as one of the others.
    gone = [errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN]
    print('reset' if error.errno in gone else error)
";

/// What is taken down again when it is dropped, stitch first.
pub(super) struct Lab {
    pub(super) stitch: Stitch,
    pub(super) echo: Running,
    _nginx: Running,
    pub(super) certificates: Certificates,
    scratch: Scratch,
    network: Network,
}

/// The namespaces; everything in them goes with them.
struct Network {
    inside: String,
    outside: String,
}

impl Lab {
    /// Builds the lab and starts stitch in it; `None`, having said why, where that is not allowed.
    pub(super) fn build(services: &str) -> Option<Self> {
        Self::with("", services)
    }

    /// The same with TLS looked into.
    pub(super) fn intercepting(services: &str) -> Option<Self> {
        Self::with("forward: { intercept_tls: true },", services)
    }

    /// The authority that TLS is looked into with, for programs to trust.
    pub(super) fn authority(&self) -> PathBuf {
        let folder = self.scratch.path().join("ca");
        let export = Stitch::run(&["ca", "export"]).env("STITCH_CA_DIR", folder.to_str().unwrap());
        self.scratch.write("authority.pem", export.output().success().stdout)
    }

    fn with(proxy: &str, services: &str) -> Option<Self> {
        let network = match Network::build() {
            Ok(network) => network,
            Err(why) => {
                eprintln!("not tested: no network namespace can be made here: {why}");
                return None;
            }
        };
        let (scratch, certificates) = (Scratch::new(), Certificates::new());
        let (echo, nginx) = (network.echo(&scratch), network.nginx(&scratch, &certificates));
        let exec = scratch.write(
            "stitch",
            format!(
                "#!/bin/sh\nexec {} netns exec {} {} \"$@\"\n",
                require("ip").display(),
                network.inside,
                env!("CARGO_BIN_EXE_stitch")
            ),
        );
        std::fs::set_permissions(&exec, std::fs::Permissions::from_mode(0o755)).unwrap();
        let stitch = Stitch::builder()
            .binary(exec)
            .yaml(&format!(
                "proxy: {{ {proxy} transparent: ['127.0.0.1:15001', '[::1]:15006'], \
                 access_log: {{ only: all }} }}\n{services}"
            ))
            .env("STITCH_CA_DIR", scratch.path().join("ca").to_str().unwrap())
            .start();
        Some(Self { stitch, echo, _nginx: nginx, certificates, scratch, network })
    }

    /// `stitch iptables` beside the running stitch.
    pub(super) fn iptables(&self, args: &[&str]) -> Output {
        let binary = Path::new(env!("CARGO_BIN_EXE_stitch"));
        self.network.inside("0", binary).arg("iptables").args(args).output()
    }

    /// A text of commands, by the shell.
    pub(super) fn shell(&self, script: &str) -> Output {
        let script = self.scratch.write("script.sh", script);
        self.network.inside("0", &require("sh")).arg("-e").arg(script).output()
    }

    /// Every rule in force.
    pub(super) fn rules(&self) -> String {
        let of = |program: &str| {
            let list = self.network.inside("0", &require(program)).args(["-t", "nat", "-S"]);
            list.output().success().stdout
        };
        of("iptables") + &of("ip6tables")
    }

    /// curl as the program.
    pub(super) fn curl(&self, args: &[&str]) -> Output {
        let curl = self.network.inside(NOBODY, &require("curl"));
        curl.args(["-q", "-sS", "--max-time", "10"]).args(args).output()
    }

    /// What a client of bytes hears in answer; without a text it waits to be greeted.
    pub(super) fn bytes(&self, user: &str, host: &str, port: u16, text: &str) -> String {
        let script = self.scratch.write("client.py", CLIENT);
        let client = self.network.inside("0", &require("python3")).arg(script);
        let output = client.args([user, host, &port.to_string(), text]).output().success();
        output.stdout.trim().to_owned()
    }

    /// The program as a client that says these bytes once it gets USR1.
    pub(super) fn hesitant(&self, host: &str, port: u16, bytes: &[u8]) -> Running {
        let script = self.scratch.write("client.py", CLIENT);
        let client = self.network.inside("0", &require("python3")).arg(script);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let cue = Signal::USR1.as_raw().to_string();
        client.args([NOBODY, host, &port.to_string(), &hex, &cue]).spawn()
    }

    /// As the program.
    pub(super) fn echoed(&self, host: &str, port: u16, text: &str) -> String {
        self.bytes(NOBODY, host, port, text)
    }

    /// The admin API, as root.
    pub(super) fn admin(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.stitch.admin());
        let curl = self.network.inside("0", &require("curl"));
        curl.args(["-q", "-sS", &url]).output().success().stdout
    }

    /// How many connections were of a kind.
    pub(super) fn counted(&self, kind: &str) -> u32 {
        let series = format!("stitch_transparent_connections_total{{kind=\"{kind}\"}} ");
        let metrics = self.admin("/metrics");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
        count.map_or(0, |count| count.parse().unwrap())
    }
}

impl Network {
    /// The error is why this user may not.
    fn build() -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("stitch-{}-{number}-{side}", std::process::id());
        let network = Self { inside: name("in"), outside: name("out") };
        for namespace in [&network.inside, &network.outside] {
            let added = ip(&["netns", "add", namespace]);
            if added.exit != stitch_kit::Exit::Code(0) {
                return Err(added.stderr.trim().to_owned());
            }
        }
        network.cable();
        Ok(network)
    }

    fn cable(&self) {
        let Self { inside, outside } = self;
        let cable = ["link", "add", "cable", "netns", inside, "type", "veth", "peer", "name"];
        let _ = ip(&[&cable[..], &["cable", "netns", outside]].concat()).success();
        for (namespace, v4, v6) in [(inside, "10.77.0.1", "fd77::1"), (outside, V4, V6)] {
            let (v4, v6) = (format!("{v4}/24"), format!("{v6}/64"));
            for command in [
                &["addr", "add", &v4, "dev", "cable"][..],
                &["addr", "add", &v6, "dev", "cable", "nodad"],
                &["link", "set", "cable", "up"],
                &["link", "set", "lo", "up"],
            ] {
                let _ = ip(&[&["-n", namespace], command].concat()).success();
            }
        }
        // Addresses that nobody has are reached by the same cable, and refused.
        let _ = ip(&["-n", inside, "route", "add", "default", "via", V4]).success();
    }

    /// A program beside stitch.
    fn inside(&self, user: &str, program: &Path) -> Run {
        let run = Run::tool("ip").args(["netns", "exec", &self.inside]).arg(require("setpriv"));
        run.args(["--reuid", user, "--clear-groups", "--"]).arg(program)
    }

    fn outside(&self, program: &Path) -> Run {
        Run::tool("ip").args(["netns", "exec", &self.outside]).arg(program)
    }

    fn echo(&self, scratch: &Scratch) -> Running {
        let script = scratch.write("echo.py", ECHO);
        let echo = self.outside(&require("python3")).arg(script).spawn();
        echo.wait_for_stdout(|line| line["event"] == "ready");
        echo
    }

    /// HTTP on 80, without TLS but in HTTP/2 on 82, inside TLS on 443 and, for others, on 8443.
    fn nginx(&self, scratch: &Scratch, certificates: &Certificates) -> Running {
        let Certificate { cert, key } = certificates.issue(&["world.test", "secure.test"]);
        let file = scratch.write(
            "nginx.conf",
            format!(
                "daemon off; master_process off; pid nginx.pid; events {{}}\n\
                 http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy;\n\
                 fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
                 ssl_certificate {}; ssl_certificate_key {};\n\
                 server {{ listen 80; listen [::]:80;\n\
                 return 200 \"$host $server_protocol via=$http_via xff=$http_x_forwarded_for\"; }}\n\
                 server {{ listen 82 http2; return 200 \"$host $server_protocol\"; }}\n\
                 server {{ listen 443 ssl; return 200 \"world\"; }}\n\
                 server {{ listen 8443 ssl; return 200 \"declared\"; }} }}\n",
                cert.display(),
                key.display()
            ),
        );
        let nginx = self.outside(&require("nginx"));
        let nginx = nginx.args(["-e", "stderr", "-p"]).arg(scratch.path()).arg("-c").arg(file);
        let nginx = nginx.spawn();
        let ready = || self.inside("0", &require("curl")).args(["-sS", &format!("http://{V4}/")]);
        let up = wait_until(PATIENCE, || ready().output().exit == stitch_kit::Exit::Code(0));
        assert!(up, "{}", nginx.stderr());
        nginx
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.inside, &self.outside] {
            // The cable goes with either; what was never made cannot be deleted.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn ip(args: &[&str]) -> Output {
    Run::tool("ip").args(args).output()
}
