//! HTTPS through the proxy: the CA of an installation, and clients that trust it.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use stitch_kit::{
    Certificates, Nginx, Output, Run, Scratch, Stitch, Upstream, curl, http, python, require,
    wait_until,
};

/// `stitch ca ARGS…` with the CA in this folder.
fn ca(folder: &Path, args: &[&str]) -> Output {
    let args = [&["ca"], args].concat();
    Stitch::run(&args).env("STITCH_CA_DIR", folder.to_str().unwrap()).output()
}

#[test]
fn the_ca_is_made_once_and_shown_in_each_way() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("data/ca");
    let shown = |args: &[&str]| ca(&folder, args).success().stdout;
    assert_eq!(shown(&["path"]), format!("{}\n", folder.display()));
    let pem = shown(&["export"]);
    assert_eq!(pem.matches("-----BEGIN CERTIFICATE-----").count(), 1);
    assert!(!pem.contains("PRIVATE"));
    // The key is nobody else's business.
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        folder.join(name).metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("ca.key"), mode("ca.pem")), (0o600, 0o644));

    let roots = scratch.path().join("roots.pem");
    let out = roots.to_str().unwrap();
    assert_eq!(shown(&["export", "--bundle", "--out", out]), "");
    let bundle = std::fs::read_to_string(&roots).unwrap();
    assert!(bundle.starts_with(&pem) && bundle.len() > 10 * pem.len(), "{} bytes", bundle.len());

    // What another program makes of both.
    let told = python(
        r#"
import hashlib, os, ssl
der = ssl.PEM_cert_to_DER_cert(os.environ["PEM"])
digest = hashlib.sha256(der).hexdigest().upper()
print(":".join(digest[i:i + 2] for i in range(0, len(digest), 2)))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(os.environ["ROOTS"])
assert der in context.get_ca_certs(binary_form=True)
"#,
    );
    let told = told.env("PEM", &pem).env("ROOTS", out).output().success().stdout;
    assert_eq!(told, shown(&["fingerprint"]));
}

#[test]
fn the_ca_is_at_home_where_nothing_else_is_said() {
    let scratch = Scratch::new();
    let home = scratch.path().to_str().unwrap();
    let path = |variables: &[(&str, &str)]| {
        let clean = ["STITCH_CA_DIR", "XDG_DATA_HOME", "HOME"];
        let run = clean.iter().fold(Stitch::run(&["ca", "path"]), |run, name| run.env(name, ""));
        variables.iter().fold(run, |run, (name, value)| run.env(name, *value)).output()
    };
    assert_eq!(path(&[("HOME", home)]).success().stdout, format!("{home}/.local/share/stitch\n"));
    let data = format!("{home}/data");
    let told = path(&[("HOME", home), ("XDG_DATA_HOME", &data)]);
    assert_eq!(told.success().stdout, format!("{data}/stitch\n"));
    let homeless = path(&[]);
    assert_eq!(homeless.code(), 4);
    assert!(homeless.stderr.contains("home directory"), "{}", homeless.stderr);
}

#[test]
fn a_ca_that_cannot_be_used_is_told_with_its_file() {
    let scratch = Scratch::new();
    scratch.write("ca.pem", "nonsense");
    scratch.write("ca.key", "nonsense");
    let output = ca(scratch.path(), &["export"]);
    assert_eq!((output.code(), output.stdout.as_str()), (4, ""));
    assert!(output.stderr.contains("ca.key is not PEM text"), "{}", output.stderr);
}

/// A mocked HTTPS host, looked into, and the CA that it is done with.
struct Looked {
    stitch: Stitch,
    ca: Scratch,
}

const API: &str = "  api:\n    hosts: api.example.com\n    \
    endpoints: [{ path: /hello, response: { body: { hello: world } } }]\n";

impl Looked {
    fn into_tunnels() -> Self {
        Self::with("")
    }

    /// With more settings of the proxy.
    fn with(more: &str) -> Self {
        let ca = Scratch::new();
        let proxy = format!("proxy: {{ {more} forward: {{ intercept_tls: true }} }}");
        let yaml = format!("{proxy}\nservices:\n{API}");
        let folder = ca.path().to_str().unwrap();
        let stitch = Stitch::builder().yaml(&yaml).env("STITCH_CA_DIR", folder).start();
        Self { stitch, ca }
    }

    /// `stitch run -- …` with the address of the proxy alone.
    fn run(&self, command: &[&str]) -> Run {
        let proxy = self.stitch.proxy_url();
        let args = [&["run", "--proxy", &proxy, "--"], command].concat();
        Stitch::run(&args).env("STITCH_CA_DIR", self.ca.path().to_str().unwrap())
    }

    fn tunnels(&self, intercepted: bool) -> u64 {
        tunnels(&self.stitch, intercepted)
    }
}

fn tunnels(stitch: &Stitch, intercepted: bool) -> u64 {
    let name = format!("stitch_tls_tunnels_total{{intercepted=\"{intercepted}\"}} ");
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
    count.map_or(0, |count| count.parse().unwrap())
}

/// The interpreter with the packages that `scripts/test` installs.
fn interpreter() -> String {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python3");
    let path = if venv.exists() { venv } else { require("python3") };
    path.to_str().unwrap().to_owned()
}

#[test]
fn curl_trusts_what_run_tells_it_of() {
    let looked = Looked::into_tunnels();
    let url = "https://api.example.com/hello";
    let output = looked.run(&["curl", "-q", "-sS", "-D", "-", url]).output().success();
    assert!(output.stdout.contains("x-stitch-source: mock"), "{}", output.stdout);
    assert!(output.stdout.contains("{\"hello\":\"world\"}"), "{}", output.stdout);
    assert_eq!((looked.tunnels(true), looked.tunnels(false)), (1, 0));
    // Without it, nobody does.
    let output = curl(&["-x", &looked.stitch.proxy_url(), url]);
    assert_eq!(output.code(), 60, "{}", output.stderr);
}

#[test]
fn python_trusts_what_run_tells_it_of() {
    let looked = Looked::into_tunnels();
    let script = r#"
import json, urllib.request, httpx, requests
url = "https://api.example.com/hello"
told = [requests.get(url, timeout=10).json(), httpx.get(url, timeout=10).json()]
with urllib.request.urlopen(url, timeout=10) as answer:
    told.append(json.load(answer))
print(json.dumps(told))
"#;
    let output = looked.run(&[&interpreter(), "-c", script]).output().success();
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let hello = json!({ "hello": "world" });
    assert_eq!(told, json!([hello, hello, hello]));
    assert_eq!(looked.tunnels(true), 3);
}

/// Node's own `https` knows no proxy: the tunnel is opened by hand. Where `scripts/test` could
/// install undici, its agents follow.
#[test]
fn node_trusts_what_run_tells_it_of() {
    let looked = Looked::into_tunnels();
    let script = r#"
import { existsSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import tls from 'node:tls';
const proxy = new URL(process.env.HTTPS_PROXY);
const told = [await new Promise((resolve, reject) => {
  const connect = http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: 'api.example.com:443' });
  connect.on('error', reject);
  connect.on('connect', (answer, socket) => {
    const createConnection = () => tls.connect({ socket, servername: 'api.example.com' });
    const request = https.get('https://api.example.com/hello', { createConnection }, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
  });
  connect.end();
})];
if (existsSync(process.env.UNDICI + '/node_modules/undici')) {
  const undici = createRequire(process.env.UNDICI + '/')('undici');
  for (const dispatcher of [new undici.ProxyAgent(proxy.href), new undici.EnvHttpProxyAgent()]) {
    const answer = await undici.fetch('https://api.example.com/hello', { dispatcher });
    told.push(await answer.json());
  }
}
console.log(JSON.stringify(told));
process.exit(0);
"#;
    let scratch = Scratch::new();
    let file = scratch.write("client.mjs", script);
    let undici: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node");
    let client = looked.run(&["node", file.to_str().unwrap()]).env("UNDICI", &undici);
    let told: Value = serde_json::from_str(&client.output().success().stdout).unwrap();
    let ways = if undici.join("node_modules/undici").is_dir() { 3 } else { 1 };
    assert_eq!(told, json!(vec![json!({ "hello": "world" }); ways]));
    assert_eq!(looked.tunnels(true), u64::try_from(ways).unwrap());
}

#[test]
fn the_file_says_whether_programs_are_told_of_the_ca() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("ca");
    let print = "for name in SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO \
                 NODE_EXTRA_CA_CERTS; do eval \"echo $name=\\${$name-unset}\"; done";
    let values = |roots: &str, own: &str| {
        format!(
            "SSL_CERT_FILE={roots}\nREQUESTS_CA_BUNDLE={roots}\nCURL_CA_BUNDLE={roots}\n\
             GIT_SSL_CAINFO={roots}\nNODE_EXTRA_CA_CERTS={own}\n"
        )
    };
    let told = |intercept: bool| {
        let yaml = format!(
            "proxy: {{ listen: '127.0.0.1:9', forward: {{ intercept_tls: {intercept} }} }}\nservices: {{}}"
        );
        scratch.write("stitch.yaml", &yaml);
        let run = Stitch::run(&["run", "stitch.yaml", "--", "sh", "-c", print]);
        let run = run.cwd(scratch.path()).env("STITCH_CA_DIR", "ca");
        run.output().success().stdout
    };
    assert_eq!(told(false), values("unset", "unset"));
    assert!(!folder.exists());
    // A relative folder is of no use to a program that runs elsewhere.
    let absolute = folder.parent().unwrap().canonicalize().unwrap().join("ca");
    let at = absolute.display();
    assert_eq!(told(true), values(&format!("{at}/bundle.pem"), &format!("{at}/ca.pem")));
    // There is a CA, and the proxy looks into nothing.
    assert_eq!(told(false), values("unset", "unset"));
}

#[test]
fn env_sets_the_ca_and_takes_it_back() {
    let looked = Looked::into_tunnels();
    let folder = looked.ca.path().to_str().unwrap();
    let printed = |args: &[&str]| {
        let proxy = looked.stitch.proxy_url();
        let args = [&["env", "--proxy", &proxy], args].concat();
        Stitch::run(&args).env("STITCH_CA_DIR", folder).output().success().stdout
    };
    let script = format!(
        "{set}curl -q -sS https://api.example.com/hello; echo\n{unset}\
         echo \"${{SSL_CERT_FILE-gone}} ${{NODE_EXTRA_CA_CERTS-gone}}\"\n",
        set = printed(&[]),
        unset = printed(&["--unset"]),
    );
    let output = Run::tool("sh").args(["-c", &script]).output().success();
    assert_eq!(output.stdout, "{\"hello\":\"world\"}\ngone gone\n", "{}", output.stderr);
    assert!(
        printed(&["--shell", "fish"]).contains(&format!("SSL_CERT_FILE '{folder}/bundle.pem'"))
    );
}

#[test]
fn a_ca_that_cannot_be_used_stops_only_who_needs_it() {
    let scratch = Scratch::new();
    scratch.write("ca.pem", "nonsense");
    scratch.write("ca.key", "nonsense");
    let yaml = "proxy: { listen: '127.0.0.1:9', forward: { intercept_tls: true } }\nservices: {}";
    scratch.write("stitch.yaml", yaml);
    let run = |args: &[&str]| {
        let args = [&["run"], args, &["--", "echo", "ran"]].concat();
        let folder = scratch.path().to_str().unwrap();
        Stitch::run(&args).cwd(scratch.path()).env("STITCH_CA_DIR", folder).output()
    };
    let output = run(&["stitch.yaml"]);
    assert_eq!((output.code(), output.stdout.as_str()), (4, ""));
    assert!(output.stderr.contains("ca.key"), "{}", output.stderr);
    let output = run(&["--proxy", "http://127.0.0.1:9"]).success();
    assert_eq!(output.stdout, "ran\n");
    assert!(output.stderr.contains("warning: no CA is given"), "{}", output.stderr);
}

#[test]
fn a_proxied_command_trusts_the_ca_from_the_reload_on() {
    let ca = Scratch::new();
    let folder = ca.path().to_str().unwrap();
    // Answers in place of commands that only say where they were told to look.
    let upstream = Upstream::echo();
    let yaml = |intercept: bool| {
        let command = |name: &str, proxied: bool| {
            format!(
                "  {name}:\n    url: '{}'\n    proxied: {proxied}\n    \
                 command: sh -c 'echo \"roots [$SSL_CERT_FILE]\"; exec sleep 600'\n",
                upstream.url()
            )
        };
        let (web, own) = (command("web", true), command("own", false));
        format!("proxy: {{ forward: {{ intercept_tls: {intercept} }} }}\nservices:\n{web}{own}")
    };
    let stitch = Stitch::builder().yaml(&yaml(false)).env("STITCH_CA_DIR", folder).start();
    stitch.wait_for_stderr(|line| line.starts_with("web | roots []"));
    assert!(!ca.path().join("ca.pem").exists());
    stitch.rewrite(&yaml(true));
    let roots = format!("web | roots [{folder}/bundle.pem]");
    stitch.wait_for_stderr(|line| line.starts_with(&roots));
    assert!(!stitch.stderr().contains("own | roots [/"), "{}", stitch.stderr());
}

/// nginx with TLS for localhost, which tells what it was asked for.
fn tls_nginx(authority: &Certificates) -> Nginx {
    let certificate = authority.issue(&["localhost"]);
    Nginx::listening(
        "ssl",
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; \
             location / {{ return 200 \"own $request_uri\"; }}",
            certificate.cert.display(),
            certificate.key.display()
        ),
    )
}

#[test]
fn a_tunnel_that_is_not_looked_into_shows_the_services_own_certificate() {
    let authority = Certificates::new();
    let nginx = tls_nginx(&authority);
    let port = nginx.addr().port();
    let ca = authority.ca();
    let stitch = Stitch::up(&format!(
        "services:\n  users: {{ url: 'https://localhost:{port}', tls: {{ ca: '{}' }} }}",
        ca.display()
    ));
    // Only the service's authority is trusted: nobody stands in between.
    let trusting = ["-x", &stitch.proxy_url(), "--cacert", ca.to_str().unwrap(), "-D", "-"];
    let url = format!("https://localhost:{port}/");
    let output = curl(&[&trusting[..], &[&url]].concat()).success();
    assert!(output.stdout.ends_with("\r\n\r\nown /"), "{}", output.stdout);
    assert!(!output.stdout.contains("x-stitch-source"), "{}", output.stdout);
    assert!(wait_until(std::time::Duration::from_secs(5), || tunnels(&stitch, false) == 1));
    assert_eq!(tunnels(&stitch, true), 0);
}

#[test]
fn nobody_passes_auth_inside_a_tunnel_that_is_not_looked_into() {
    let authority = Certificates::new();
    let nginx = tls_nginx(&authority);
    let port = nginx.addr().port();
    let ca = authority.ca();
    let stitch = Stitch::up(&format!(
        "services:\n  users:\n    url: 'https://localhost:{port}'\n    tls: {{ ca: '{}' }}\n    \
         auth: {{ api_key: {{ keys: {{ web: 'sha256:{}' }} }} }}",
        ca.display(),
        "0".repeat(64),
    ));
    let url = format!("https://localhost:{port}/");
    let output = curl(&["-x", &stitch.proxy_url(), "--cacert", ca.to_str().unwrap(), &url]);
    assert!(output.code() != 0 && output.stdout.is_empty(), "{}", output.stdout);
    let says = || stitch.stderr().contains("a tunnel with TLS to users is closed: it has auth");
    assert!(wait_until(std::time::Duration::from_secs(5), says), "{}", stitch.stderr());
}

#[test]
fn a_tunnel_that_is_looked_into_is_routed_and_faulted_like_plain_http() {
    let authority = Certificates::new();
    let nginx = tls_nginx(&authority);
    let port = nginx.addr().port();
    let folder = Scratch::new();
    let yaml = format!(
        "proxy: {{ forward: {{ intercept_tls: true }} }}\n\
         services:\n  users:\n    url: 'https://localhost:{port}'\n    tls: {{ ca: '{}' }}\n    \
         endpoints:\n      \
         - {{ path: /down, response: up, failure_rate: 1.0 }}\n      \
         - {{ path: /slow, response: late, delay: 300ms }}\n\
         routes: [{{ match: {{ path: /v1/**, host: api.example.com }}, to: users, rewrite: /** }}]\n",
        authority.ca().display()
    );
    let stitch =
        Stitch::builder().yaml(&yaml).env("STITCH_CA_DIR", folder.path().to_str().unwrap()).start();
    let ca = folder.join("ca.pem");
    let ask = |url: &str| {
        let told = ["-x", &stitch.proxy_url(), "-D", "-", "-w", "|%{time_total}"];
        let trusting = ["--cacert", ca.to_str().unwrap(), url];
        curl(&[&told[..], &trusting].concat()).success().stdout
    };
    let real = ask(&format!("https://localhost:{port}/real"));
    assert!(real.contains("own /real|") && real.contains("x-stitch-source: real"), "{real}");
    let routed = ask("https://api.example.com/v1/routed");
    assert!(routed.contains("own /routed|"), "{routed}");
    for url in [format!("https://localhost:{port}/down"), "https://api.example.com/v1/down".into()]
    {
        let down = ask(&url);
        assert!(down.contains("HTTP/2 500"), "{url}: {down}");
        assert!(down.contains("x-stitch-reason: fault"), "{url}: {down}");
    }
    let late = ask(&format!("https://localhost:{port}/slow"));
    let took: f64 = late.rsplit_once("late|").unwrap().1.parse().unwrap();
    assert!(took >= 0.3, "{late}");
    assert_eq!((tunnels(&stitch, true), tunnels(&stitch, false)), (5, 0));
}

#[test]
fn with_certificates_the_table_and_the_ready_line_show_https() {
    let authority = Certificates::new();
    let certificate = authority.issue(&["shop.localhost", "127.0.0.1"]);
    let yaml = |tls: &str| {
        format!(
            "proxy: {{ {tls} }}\n\
             services: {{ shop: {{ port: 0, endpoints: [{{ path: /a, response: one }}] }} }}"
        )
    };
    let stitch = Stitch::up(&yaml(&format!("tls: {{ {} }}", certificate.yaml())));
    let told = stitch.ready().json().clone();
    assert!(told["proxy"].as_str().unwrap().starts_with("https://127.0.0.1:"), "{told}");
    assert!(told["admin"].as_str().unwrap().starts_with("http://"), "{told}");
    let urls = stitch.ready().service("shop").unwrap();
    assert!(urls[1].starts_with("https://shop.localhost:"), "{urls:?}");
    let ca = authority.ca();
    for url in urls {
        // Both work on every port.
        for url in [url.to_owned(), url.replace("https://", "http://")] {
            let output = curl(&["--cacert", ca.to_str().unwrap(), &format!("{url}/a")]).success();
            assert_eq!(output.stdout, "one", "{url}");
        }
    }
    // What changes in the file changes what is shown.
    stitch.rewrite(&yaml(""));
    let reloaded = stitch.wait_for_stdout(|line| line["event"] == "reloaded");
    assert!(reloaded["services"][0]["urls"][0].as_str().unwrap().starts_with("http://"));
}

/// Begins TLS in a tunnel, sends the first so many bytes of it, and waits for what becomes of it.
const HALF_A_HANDSHAKE: &str = r#"
import os, socket, ssl
host, _, port = os.environ["PROXY"].rpartition(":")
client = socket.create_connection((host, int(port)), timeout=20)
client.sendall(b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\n\r\n")
assert client.recv(4096).startswith(b"HTTP/1.1 200")
hello = ssl.MemoryBIO()
context = ssl.create_default_context()
tls = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="api.example.com")
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    pass
hello = hello.read()
client.sendall(hello[:int(os.environ["BYTES"])])
while client.recv(65536):
    pass
print("closed")
"#;

#[test]
fn a_handshake_in_a_tunnel_has_to_be_finished_in_time() {
    let looked = Looked::with("limits: { header_timeout: 300ms, idle: 600ms },");
    for bytes in ["0", "20", "100000"] {
        let client = python(HALF_A_HANDSHAKE).env("PROXY", looked.stitch.proxy().to_string());
        let told = client.env("BYTES", bytes).output().success().stdout;
        assert_eq!(told, "closed\n", "{bytes} bytes");
    }
}
