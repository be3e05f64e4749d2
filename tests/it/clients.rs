//! Programs that nobody here wrote, as clients through the proxy.
//!
//! Each asks for a service by a name that no DNS knows, and for an address that is declared as a
//! service's url, which is how an application runs that was only told HTTP_PROXY.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use stitch_kit::{Nginx, Run, Stitch, Upstream, curl, http, node, python};

/// A mock, a real service, and a proxy in front.
struct Shop {
    stitch: Stitch,
    upstream: Upstream,
}

impl Shop {
    fn open() -> Self {
        let upstream = Upstream::echo();
        let stitch = Stitch::up(&format!(
            "services:\n  users: {{ url: '{}' }}\n  payments:\n    endpoints:\n      \
             - {{ path: '/charges/{{id}}', method: POST, \
             response: {{ status: 201, body: {{ id: '{{{{ request.path.id }}}}', \
             amount: '{{{{ request.body.amount }}}}' }} }} }}\n",
            upstream.url()
        ));
        Self { stitch, upstream }
    }

    /// Runs a client with HTTP_PROXY and the real service's own address in its environment.
    fn run(&self, client: Run) -> Value {
        let output = client
            .env("HTTP_PROXY", self.stitch.proxy_url())
            .env("http_proxy", self.stitch.proxy_url())
            .env("PROXY_PORT", self.stitch.proxy().port().to_string())
            .env("NODE_USE_ENV_PROXY", "1")
            .env("USERS", self.upstream.url())
            .output()
            .success();
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| {
            panic!("{error} in {:?}, stderr: {:?}", output.stdout, output.stderr)
        })
    }

    /// The mock's answer as every client should have seen it, and the real service's.
    fn expect(&self, told: &Value) {
        let charge = json!({ "id": "c7", "amount": 12.5 });
        assert_eq!(told["charge"], json!([201, "mock", charge]), "{told}");
        assert_eq!(told["users"], json!([200, "real", "/list?page=2"]), "{told}");
        let seen = self.upstream.requests();
        assert!(!seen.is_empty());
        for request in &seen {
            assert_eq!(request.header("host"), Some(self.upstream.addr().to_string().as_str()));
            assert!(request.header("via").unwrap().contains("stitch-"));
            assert_eq!(request.header("proxy-connection"), None);
        }
    }
}

#[test]
fn curl_with_x() {
    let shop = Shop::open();
    let proxy = shop.stitch.proxy_url();
    let body = ["-d", "{\"amount\": 12.5}", "-H", "content-type: application/json"];
    let url = "http://payments/charges/c7";
    let output = curl(&[&["-x", &proxy, "-w", " %{http_code}", url], &body[..]].concat()).success();
    let (answer, status) = output.stdout.trim().rsplit_once(' ').unwrap();
    assert_eq!(status, "201");
    assert_eq!(
        serde_json::from_str::<Value>(answer).unwrap(),
        json!({ "id": "c7", "amount": 12.5 })
    );
    let url = format!("{}/list?page=2", shop.upstream.url());
    let output = curl(&["-x", &proxy, "-D", "-", &url]).success();
    assert!(output.stdout.contains("x-stitch-source: real\r\n"), "{}", output.stdout);
}

#[test]
fn curl_with_http_proxy_needs_no_dns() {
    let shop = Shop::open();
    let body = ["-d", "{\"amount\": 12.5}", "-H", "content-type: application/json"];
    // Lower case: curl ignores HTTP_PROXY, which a web server may have from a header called Proxy.
    let client = Run::tool("curl").args(["-q", "-sS", "--max-time", "20"]).args(body);
    let told = shop.run(client.args(["http://payments/charges/c7"]));
    assert_eq!(told, json!({ "id": "c7", "amount": 12.5 }));
}

#[test]
fn curl_with_http_proxy_keeps_its_connection() {
    let shop = Shop::open();
    let url = format!("{}/list", shop.upstream.url());
    let output = Run::tool("curl")
        .args([
            "-q",
            "-sS",
            "--max-time",
            "20",
            "-w",
            " %{num_connects}\n",
            "-o",
            "/dev/null",
            "-o",
            "/dev/null",
        ])
        .args([&url, &url])
        .env("http_proxy", shop.stitch.proxy_url())
        .output()
        .success();
    assert_eq!(output.stdout, " 1\n 0\n");
}

#[test]
fn curl_through_a_tunnel() {
    let shop = Shop::open();
    let proxy = shop.stitch.proxy_url();
    let body = "{\"amount\": 12.5}";
    let tunnel = ["-p", "-x", &proxy, "-H", "content-type: application/json", "-d", body];
    // A mock inside; then a tunnel to something that nobody declared.
    let output = curl(&[&tunnel[..], &["http://payments/charges/c7"]].concat()).success();
    assert_eq!(serde_json::from_str::<Value>(&output.stdout).unwrap()["id"], "c7");
    let other = Upstream::echo();
    let output = curl(&[&tunnel[..], &[&format!("{}/a", other.url())]].concat()).success();
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&told["target"], &told["body"]), (&"/a".into(), &body.into()));
    assert_eq!(other.requests()[0].header("via"), None);
}

#[test]
fn curl_uploads_with_expect_and_downloads_large_answers() {
    let shop = Shop::open();
    let file = shop.stitch.path().with_file_name("upload.bin");
    std::fs::write(&file, vec![b'u'; 5 << 20]).unwrap();
    let url = format!("{}/up", shop.upstream.url());
    let upload = format!("@{}", file.display());
    let proxy = shop.stitch.proxy_url();
    let output =
        curl(&["-x", &proxy, "-H", "Expect: 100-continue", "--data-binary", &upload, &url]);
    let told: Value = serde_json::from_str(&output.success().stdout).unwrap();
    assert_eq!(told["body_length"], 5 << 20);
    let url = format!("{}/down?chunked&bytes=5000000", shop.upstream.url());
    let output = curl(&["-x", &proxy, "-o", "/dev/null", "-w", "%{size_download}", &url]);
    assert_eq!(output.success().stdout, "5000000");
}

#[test]
fn python_requests() {
    let shop = Shop::open();
    let told = shop.run(python(
        r#"
import json, os, requests
with requests.Session() as session:
    for _ in range(3):
        charge = session.post("http://payments/charges/c7", json={"amount": 12.5}, timeout=10)
        users = session.get(os.environ["USERS"] + "/list", params={"page": 2}, timeout=10)
source = lambda answer: answer.headers.get("x-stitch-source")
print(json.dumps({
    "charge": [charge.status_code, source(charge), charge.json()],
    "users": [users.status_code, source(users), users.json()["target"]],
}))
"#,
    ));
    shop.expect(&told);
}

#[test]
fn python_httpx_both_ways() {
    let shop = Shop::open();
    let told = shop.run(python(
        r#"
import asyncio, json, os, httpx

def source(answer):
    return answer.headers.get("x-stitch-source")

async def main():
    async with httpx.AsyncClient(timeout=10) as client:
        charges = await asyncio.gather(*[
            client.post("http://payments/charges/c7", json={"amount": 12.5}) for _ in range(20)
        ])
    with httpx.Client(timeout=10) as client:
        users = client.get(os.environ["USERS"] + "/list", params={"page": 2})
    seen = {json.dumps([a.status_code, source(a), a.json()]) for a in charges}
    assert len(seen) == 1, seen
    print(json.dumps({
        "charge": json.loads(seen.pop()),
        "users": [users.status_code, source(users), users.json()["target"]],
    }))

asyncio.run(main())
"#,
    ));
    shop.expect(&told);
}

#[test]
fn python_httpx_reads_an_error_as_it_is() {
    let shop = Shop::open();
    let told = shop.run(python(
        r#"
import json, httpx
answer = httpx.get("http://no-such-service.invalid/a", timeout=10)
print(json.dumps([answer.status_code, answer.headers["content-type"], answer.json()["reason"]]))
"#,
    ));
    assert_eq!(told, json!([502, "application/problem+json", "connect_dns"]));
}

#[test]
fn node_http_with_an_absolute_target() {
    let shop = Shop::open();
    let told = shop.run(node(
        r#"
import http from 'node:http';
const agent = new http.Agent({ keepAlive: true });
const ask = (method, url, body) => new Promise((resolve, reject) => {
  const headers = { host: new URL(url).host, 'content-type': 'application/json' };
  const options = { host: '127.0.0.1', port: process.env.PROXY_PORT, method, path: url, headers, agent };
  const request = http.request(options, (response) => {
    let text = '';
    response.on('data', (data) => { text += data; });
    response.on('end', () => resolve([response.statusCode, response.headers['x-stitch-source'], JSON.parse(text)]));
  });
  request.on('error', reject);
  request.end(body);
});
let charge, users;
for (let i = 0; i < 3; i++) {
  charge = await ask('POST', 'http://payments/charges/c7', '{"amount": 12.5}');
  users = await ask('GET', process.env.USERS + '/list?page=2');
}
users[2] = users[2].target;
console.log(JSON.stringify({ charge, users }));
agent.destroy();
"#,
    ));
    shop.expect(&told);
}

/// The folder where `scripts/test` puts undici, when npm could be had.
fn undici() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node")
}

#[test]
fn node_fetch() {
    let shop = Shop::open();
    // Node 24 reads HTTP_PROXY itself. Older ones are given what undici's ProxyAgent does: fetch over
    // a CONNECT tunnel even for plain HTTP. Where the package is installed, its agents follow.
    let client = node(
        r#"
import assert from 'node:assert';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
const ways = [];
if (Number(process.versions.node.split('.')[0]) < 24) {
  await fetch('data:,').then((answer) => answer.text());
  const { constructor: Agent } = globalThis[Symbol.for('undici.globalDispatcher.1')];
  const connect = ({ hostname, port }, done) => {
    const path = `${hostname}:${port || 80}`;
    const request = http.request({ port: process.env.PROXY_PORT, host: '127.0.0.1', method: 'CONNECT', path });
    request.on('connect', (answer, socket) =>
      answer.statusCode === 200 ? done(null, socket) : done(new Error(`CONNECT: ${answer.statusCode}`)));
    request.on('error', done);
    request.end();
  };
  ways.push([fetch, { dispatcher: new Agent({ connect }) }]);
} else {
  ways.push([fetch, {}]);
}
if (existsSync(process.env.UNDICI + '/node_modules/undici')) {
  const undici = createRequire(process.env.UNDICI + '/')('undici');
  const uri = process.env.HTTP_PROXY;
  for (const dispatcher of [
    new undici.ProxyAgent(uri),
    new undici.ProxyAgent({ uri, proxyTunnel: false }),
    new undici.EnvHttpProxyAgent(),
  ]) ways.push([undici.fetch, { dispatcher }]);
}
const headers = { 'content-type': 'application/json' };
const told = [];
for (const [fetch, options] of ways) {
  const ask = async (url, more) => {
    const answer = await fetch(url, { ...options, ...more });
    return [answer.status, answer.headers.get('x-stitch-source'), await answer.json()];
  };
  for (let i = 0; i < 3; i++) {
    const charge = await ask('http://payments/charges/c7', { method: 'POST', headers, body: '{"amount": 12.5}' });
    const users = await ask(process.env.USERS + '/list?page=2');
    users[2] = users[2].target;
    told.push({ charge, users });
  }
}
for (const each of told) assert.deepStrictEqual(each, told[0]);
console.log(JSON.stringify(told[0]));
process.exit(0);
"#,
    );
    let told = shop.run(client.env("UNDICI", undici()));
    shop.expect(&told);
    let ways = if undici().join("node_modules/undici").is_dir() { 4 } else { 1 };
    assert_eq!(shop.upstream.requests().len(), 3 * ways);
}

/// Two seconds of wrk without one failed request; how many there were.
fn load(url: &str, host: &str) -> u64 {
    let output = Run::tool("wrk")
        .args(["-t1", "-c32", "-d2s", "-H"])
        .arg(format!("Host: {host}"))
        .arg(url)
        .output()
        .success();
    let text = output.stdout;
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let line = text.lines().find(|line| line.contains(" requests in ")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn wrk_sees_no_error_in_front_of_nginx_and_a_mock() {
    let nginx = Nginx::start("location / { return 200 hello; } keepalive_requests 100;");
    let stitch = Stitch::up(&format!(
        "services: {{ web: {{ url: '{}' }}, mock: {{ endpoints: [{{ path: / }}] }} }}",
        nginx.url()
    ));
    let real = load(&stitch.proxy_url(), "web");
    let mock = load(&stitch.proxy_url(), "mock");
    assert!(real > 100 && mock > 100, "{real} and {mock} requests");
    let metrics = http::get(stitch.admin(), "/metrics", &[]).text();
    let failed =
        metrics.lines().find(|line| line.contains("_requests_total") && line.contains("5xx"));
    assert_eq!(failed, None);
}
