//! `command:`: programs that `stitch up` starts, watches, and stops with all that they started.

use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use stitch_kit::http;
use stitch_kit::{Exit, Scratch, Signal, Stitch, StitchBuilder, Upstream, free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A service nobody here wrote a framework for: says who it is, calls others, crashes when asked.
const APP: &str = r#"
import http.server, json, os, subprocess, sys, urllib.request

child = subprocess.Popen(["sleep", "600"])
print("hello from", os.environ["NAME"], flush=True)
print("and on stderr", file=sys.stderr, flush=True)

class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {"pid": os.getpid(), "child": child.pid, "env": dict(os.environ), "cwd": os.getcwd()}
        if self.path == "/crash":
            print("about to crash", flush=True)
            os._exit(3)
        if self.path.startswith("/call?"):
            with urllib.request.urlopen(self.path[6:], timeout=10) as response:
                answer = {"status": response.status, "source": response.headers.get("x-stitch-source"),
                          "body": response.read().decode()}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
"#;

/// `stitch up` with the app as a service `web`, and where the app itself listens.
fn builder(more: &str) -> (StitchBuilder, SocketAddr) {
    let port = free_port();
    let yaml = format!(
        "services:\n  web:\n    url: http://127.0.0.1:{port}\n    command: python3 -u app.py\n    \
         env: {{ PORT: {port}, NAME: 'the app', NUMBER: 7, FLAG: true }}\n{more}"
    );
    let builder = Stitch::builder().yaml(&yaml).file("app.py", APP);
    (builder, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn web(stitch: &Stitch, path: &str) -> Value {
    let answer = http::get(stitch.proxy(), path, &[("host", "web")]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), stitch.stderr());
    answer.json()
}

fn alive(pid: &Value) -> bool {
    // A zombie has ended; only its parent has not noticed yet.
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn a_command_runs_with_its_environment_in_the_folder_of_its_file() {
    let (builder, _) = builder("");
    let folder = builder.folder().canonicalize().unwrap();
    let stitch = builder.env("INHERITED", "yes").start();
    // `ready` means that it answers: no waiting here.
    let app = web(&stitch, "/");
    assert_eq!(app["cwd"], folder.to_str().unwrap());
    for (name, value) in
        [("NAME", "the app"), ("NUMBER", "7"), ("FLAG", "true"), ("INHERITED", "yes")]
    {
        assert_eq!(app["env"][name], value, "{name}");
    }
    // Not `proxied`: its calls are its own business.
    assert_eq!(app["env"].get("HTTP_PROXY"), None);
    let services = http::get(stitch.admin(), "/api/services/web", &[]).json();
    assert_eq!(services["data"]["command"]["state"], "up", "{services}");
}

#[test]
fn its_output_is_on_stderr_with_its_name_in_front() {
    let (builder, _) = builder("");
    let stitch = builder.start();
    for text in ["hello from the app", "and on stderr"] {
        let line = stitch.wait_for_stderr(|line| line.contains(text));
        assert!(line.starts_with("web"), "{line}");
    }
    assert!(!stitch.stdout().contains("hello"), "{}", stitch.stdout());
}

#[test]
fn after_a_crash_it_is_started_again() {
    let (builder, address) = builder("");
    let stitch = builder.start();
    let first = web(&stitch, "/");
    http::Connection::open(address).send("GET /crash HTTP/1.1\r\nhost: web\r\n\r\n");
    stitch.wait_for_stderr(|line| line.contains("about to crash"));
    let mut second = Value::Null;
    let again = wait_until(PATIENCE, || {
        let answer = http::get(stitch.proxy(), "/", &[("host", "web")]);
        if answer.status != 200 {
            // Between its end and its next start nobody is there, and that is what callers hear.
            assert_eq!(answer.status, 502, "{}", answer.text());
            return false;
        }
        second = answer.json();
        second["pid"] != first["pid"]
    });
    assert!(again, "{}", stitch.stderr());
    assert!(wait_until(PATIENCE, || !alive(&first["child"])), "the crash left its child behind");
    assert!(alive(&second["child"]));
}

#[test]
fn everything_it_started_ends_with_stitch() {
    for (signal, exit) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let (builder, address) = builder("");
        let stitch = builder.start();
        let app = web(&stitch, "/");
        assert!(alive(&app["pid"]) && alive(&app["child"]));
        stitch.signal(signal);
        assert_eq!(stitch.wait_exit(), Exit::Code(exit));
        assert!(!alive(&app["pid"]), "the command still runs");
        assert!(!alive(&app["child"]), "what the command started still runs");
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn the_calls_of_a_proxied_command_reach_declared_services() {
    let upstream = Upstream::echo();
    let (builder, _) = builder(&format!(
        "    proxied: true\n  users:\n    url: '{}'\n    endpoints: [{{ path: /me, response: Ada }}]\n  \
         gone: {{ url: 'http://127.0.0.1:1', mode: real-then-mock, endpoints: [{{ path: /x, response: stand-in }}] }}\n",
        upstream.url()
    ));
    let stitch = builder.start();
    let app = web(&stitch, "/");
    let proxy = app["env"]["HTTP_PROXY"].as_str().unwrap();
    assert_eq!(proxy, format!("http://web@{}", stitch.proxy()));
    // By name.
    let answer = web(&stitch, "/call?http://users/me");
    assert_eq!((&answer["source"], &answer["body"]), (&"mock".into(), &"Ada".into()));
    let answer = web(&stitch, "/call?http://users/other");
    assert_eq!(answer["source"], "real");
    // By the address it would have without us.
    let answer = web(&stitch, &format!("/call?{}/me", upstream.url()));
    assert_eq!((&answer["source"], &answer["body"]), (&"mock".into(), &"Ada".into()));
    let answer = web(&stitch, "/call?http://127.0.0.1:1/x");
    assert_eq!(answer["body"], "stand-in");
}

#[test]
fn a_change_elsewhere_in_the_file_leaves_it_running_and_its_own_restarts_it() {
    let (builder, address) = builder("");
    let stitch = builder.start();
    let first = web(&stitch, "/");
    let text = std::fs::read_to_string(stitch.path()).unwrap();
    let more = format!("{text}  other: {{ endpoints: [{{ path: /other }}] }}\n");
    stitch.rewrite(&more);
    let other = || http::get(stitch.proxy(), "/other", &[]).status == 200;
    assert!(wait_until(PATIENCE, other), "{}", stitch.stderr());
    assert_eq!(web(&stitch, "/")["pid"], first["pid"]);

    stitch.rewrite(&more.replace("NUMBER: 7", "NUMBER: 8"));
    let changed = || {
        let answer = http::get(stitch.proxy(), "/", &[("host", "web")]);
        answer.status == 200 && answer.json()["env"]["NUMBER"] == "8"
    };
    assert!(wait_until(PATIENCE, changed), "{}", stitch.stderr());
    assert!(!alive(&first["pid"]) && !alive(&first["child"]));

    stitch.rewrite("services: { other: { endpoints: [{ path: /other }] } }");
    assert!(wait_until(PATIENCE, || TcpStream::connect(address).is_err()), "it still runs");
}

#[test]
fn commands_start_after_those_they_depend_on() {
    let (first, second) = (free_port(), free_port());
    let yaml = format!(
        "services:\n  early:\n    url: http://127.0.0.1:{second}\n    command: python3 -u app.py\n    \
         env: {{ PORT: {second}, NAME: early }}\n    depends_on: late\n  \
         late:\n    url: http://127.0.0.1:{first}\n    command: python3 -u app.py\n    \
         env: {{ PORT: {first}, NAME: late }}\n"
    );
    let stitch = Stitch::builder().yaml(&yaml).file("app.py", APP).start();
    let said = stitch.wait_for_stderr(|line| line.contains("hello from early"));
    assert!(said.starts_with("early"), "{said}");
    let text = stitch.stderr();
    assert!(text.find("hello from late") < text.find("hello from early"), "{text}");
}

#[test]
fn a_command_that_cannot_be_started_is_named_and_the_rest_serves() {
    // `ready` comes when it is clear that it will not work, not after all of the patience with it.
    let stitch = Stitch::up(
        "services:\n  web: { url: 'http://127.0.0.1:1', command: no-such-program --flag }\n  \
         shop: { endpoints: [{ path: /a }] }\n",
    );
    let line = stitch.wait_for_stderr(|line| line.contains("no-such-program"));
    assert!(line.contains("web"), "{line}");
    assert_eq!(http::get(stitch.proxy(), "/a", &[]).status, 200);
    let ready = || http::get(stitch.admin(), "/health/ready", &[]);
    assert_eq!(ready().status, 503);
    assert!(ready().json()["waiting_for"].to_string().contains("web"), "{}", ready().text());
    // Taken out of the file, it is missed no more.
    stitch.rewrite("services: { shop: { endpoints: [{ path: /a }] } }");
    assert!(wait_until(PATIENCE, || ready().status == 200), "{}", ready().text());
}

#[test]
fn a_signal_while_commands_are_starting_ends_everything() {
    // Runs, and never answers.
    let stitch = Stitch::run(&["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let scratch = Scratch::new();
    scratch
        .write("app.py", "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)");
    scratch.write(
        "stitch.yaml",
        "services: { web: { url: 'http://127.0.0.1:1', command: python3 -u app.py } }",
    );
    let stitch = stitch.cwd(scratch.path()).spawn();
    let line = stitch.wait_for_stderr(|line| line.contains("pid ") && line.starts_with("web"));
    let pid: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    stitch.signal(Signal::INT);
    assert_eq!(stitch.wait_exit_within(PATIENCE), Some(Exit::Code(130)), "{}", stitch.stderr());
    assert!(!alive(&pid.into()), "the command still runs");
}
