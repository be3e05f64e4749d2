//! HTTP/2 on either side, or both, as curl, nghttp and h2load speak it and nginx hears it.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use stitch_kit::http;
use stitch_kit::{Exit, Nginx, Output, Run, Signal, Stitch, Upstream, curl, digest, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);
const KNOWN: &str = "--http2-prior-knowledge";
/// What nginx tells of a request.
const TELL: &str =
    "location / { return 200 \"$server_protocol|$host|$http_te|$http_cookie|$http_via\"; }";

fn users(url: &str) -> Stitch {
    Stitch::up(&format!("services: {{ users: {{ url: '{url}' }} }}"))
}

/// nginx that speaks nothing but HTTP/2 without TLS, and its URL.
fn h2c(server: &str) -> (Nginx, String) {
    let nginx = Nginx::listening("http2", server);
    let url = format!("h2c://{}", nginx.addr());
    (nginx, url)
}

/// curl asks the proxy for the service `users`; the version it was answered in comes last.
fn ask(stitch: &Stitch, target: &str, args: &[&str]) -> (String, String) {
    let url = format!("{}{target}", stitch.proxy_url());
    let ask = ["-H", "Host: users", "-w", "\n%{http_version}", &url];
    let output = curl(&[args, &ask].concat()).success();
    let (body, version) = output.stdout.rsplit_once('\n').unwrap();
    (body.to_owned(), version.to_owned())
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

fn nghttp(stitch: &Stitch, target: &str, args: &[&str]) -> Run {
    let run = Run::tool("nghttp").args(["-v", "-t", "20", "-H", ":authority: users"]).args(args);
    run.arg(format!("{}{target}", stitch.proxy_url()))
}

#[test]
fn h2_to_h1() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    let (body, version) = ask(&stitch, "/a?b=c", &[KNOWN, "-d", "text", "-H", "X-Some: Thing"]);
    assert_eq!(version, "2");
    let told = json(&body);
    assert_eq!((&told["method"], &told["target"]), (&json!("POST"), &json!("/a?b=c")));
    assert_eq!((&told["version"], &told["body"]), (&json!("HTTP/1.1"), &json!("text")));
    let seen = &upstream.requests()[0];
    assert_eq!(seen.header("host"), Some(upstream.addr().to_string().as_str()));
    assert_eq!(seen.header("x-some"), Some("Thing"));
    assert!(seen.header("via").unwrap().contains(" stitch-"), "{:?}", seen.header("via"));
    assert!(seen.headers.0.iter().all(|(name, _)| !name.starts_with(':')), "{:?}", seen.headers);
    assert!(seen.headers.all("host").len() == 1);
}

#[test]
fn h1_to_h2_and_h2_to_h2() {
    let (_nginx, url) = h2c(TELL);
    let stitch = users(&url);
    for (version, answered) in [("--http1.1", "1.1"), (KNOWN, "2")] {
        let (body, version) = ask(&stitch, "/", &[version]);
        assert_eq!(version, answered);
        assert!(body.starts_with("HTTP/2.0|127.0.0.1|"), "{body}");
    }
}

#[test]
fn exchanges_share_a_connection_to_an_h2_upstream() {
    let (_nginx, url) = h2c("location / { return 200 $connection; }");
    let stitch =
        Stitch::up(&format!("proxy: {{ workers: 1 }}\nservices: {{ users: {{ url: '{url}' }} }}"));
    let first = http::get(stitch.proxy(), "/", &[("host", "users")]).text();
    for _ in 0..10 {
        assert_eq!(http::get(stitch.proxy(), "/", &[("host", "users")]).text(), first);
    }
}

#[test]
fn cookies_in_crumbs_are_joined() {
    let upstream = Upstream::echo();
    let (_nginx, url) = h2c(TELL);
    let crumbs = ["-H", "cookie: a=1", "-H", "cookie: b=2", "-H", "cookie: c=3"];
    let told = nghttp(&users(&upstream.url()), "/", &crumbs).output().success().stdout;
    assert!(told.contains(":status: 200"), "{told}");
    assert_eq!(upstream.requests()[0].headers.all("cookie"), ["a=1; b=2; c=3"]);
    let told = nghttp(&users(&url), "/", &crumbs).output().success().stdout;
    assert!(told.contains("|a=1; b=2; c=3|"), "{told}");
}

#[test]
fn te_trailers_is_all_of_te_that_passes() {
    let (_nginx, url) = h2c(TELL);
    let stitch = users(&url);
    let (body, _) = ask(&stitch, "/", &[KNOWN, "-H", "TE: trailers"]);
    assert!(body.starts_with("HTTP/2.0|127.0.0.1|trailers|"), "{body}");
    let te = ["--http1.1", "-H", "TE: gzip, trailers", "-H", "Connection: te"];
    let (body, _) = ask(&stitch, "/", &te);
    assert!(body.starts_with("HTTP/2.0|127.0.0.1|trailers|"), "{body}");
}

#[test]
fn trailers_of_an_h1_upstream_reach_an_h2_client() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    let told = nghttp(&stitch, "/?trailer=sum", &["-H", "te: trailers"]).output().success().stdout;
    assert!(told.contains("x-echo-trailer: sum"), "{told}");
}

#[test]
fn an_upgrade_to_h2c_is_answered_as_h1() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    // With http:// and --http2 curl asks for the upgrade of RFC 7540 §3.2, which RFC 9113 dropped.
    let (_, version) = ask(&stitch, "/", &["--http2"]);
    assert_eq!(version, "1.1");
    let seen = &upstream.requests()[0];
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
}

#[test]
fn large_bodies_pass_both_ways() {
    let upstream = Upstream::echo();
    let stitch = users(&upstream.url());
    let body: Vec<u8> = (0..5 << 20).map(|at: u32| (at % 251) as u8).collect();
    let file = stitch.path().with_file_name("body.bin");
    std::fs::write(&file, &body).unwrap();
    let upload = format!("@{}", file.display());
    let (told, _) = ask(&stitch, "/", &[KNOWN, "--data-binary", &upload]);
    assert_eq!(json(&told)["body_digest"], digest(&body));
    let (told, _) = ask(&stitch, "/?bytes=5000000&chunked", &[KNOWN]);
    assert_eq!(told.len(), 5_000_000);
}

#[test]
fn large_bodies_pass_between_h2_and_h2() {
    let (nginx, url) = h2c("location / { root .; }");
    let stitch = users(&url);
    nginx.folder().write("large", vec![b'x'; 5 << 20]);
    for version in ["--http1.1", KNOWN] {
        let (body, _) = ask(&stitch, "/large", &[version]);
        assert_eq!(body.len(), 5 << 20);
    }
}

/// h2load through the proxy to `users`; all that was asked was answered with 2xx.
fn load(stitch: &Stitch, args: &[&str], count: u32) {
    let output: Output = Run::tool("h2load")
        .args(["-n", &count.to_string(), "-H", ":authority: users"])
        .args(args)
        .arg(stitch.proxy_url())
        .output()
        .success();
    let text = output.stdout;
    let good = format!("{count} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(text.contains(&good) && text.contains(&format!("{count} 2xx")), "{text}");
}

#[test]
fn two_hundred_streams_at_once() {
    let hello = "location / { return 200 hello; }";
    let h1 = Nginx::start(hello);
    let (_nginx, url) = h2c(hello);
    for url in [h1.url(), url] {
        let stitch = users(&url);
        load(&stitch, &["-c", "1", "-m", "200"], 4000);
        load(&stitch, &["-c", "10", "-m", "20"], 4000);
        load(&stitch, &["--h1", "-c", "50"], 2000);
    }
}

#[test]
fn two_hundred_streams_wait_beside_each_other() {
    let stitch = Stitch::up("services: { users: { endpoints: [{ path: /, delay: 300ms }] } }");
    let start = std::time::Instant::now();
    load(&stitch, &["-c", "1", "-m", "200"], 200);
    // One after the other they would take a minute.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Begins an answer, and ends it when told to.
fn held() -> (Upstream, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |mut stream, _| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let first = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst";
        if stream.write_all(first).is_ok() && wait.lock().unwrap().recv_timeout(PATIENCE).is_ok() {
            let _ = stream.write_all(b" last");
        }
    });
    (upstream, go)
}

#[test]
fn a_drain_says_goaway_and_lets_streams_finish() {
    let (upstream, go) = held();
    let stitch = users(&upstream.url());
    let client = nghttp(&stitch, "/", &[]).spawn();
    assert!(wait_until(PATIENCE, || client.stdout().contains("first")), "{}", client.stdout());
    stitch.signal(Signal::TERM);
    let told = wait_until(PATIENCE, || client.stdout().contains("recv GOAWAY frame"));
    assert!(told, "{}", client.stdout());
    assert!(stitch.exited().is_none() && client.exited().is_none());
    go.send(()).unwrap();
    assert_eq!(client.wait_exit(), Exit::Code(0));
    assert!(client.stdout().contains(" last"), "{}", client.stdout());
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
}

#[test]
fn a_stream_that_is_reset_ends_the_request_upstream() {
    let (upstream, _go) = held();
    let stitch = users(&upstream.url());
    let client = nghttp(&stitch, "/", &[]).spawn();
    assert!(wait_until(PATIENCE, || client.stdout().contains("first")), "{}", client.stdout());
    client.stop();
    assert!(wait_until(PATIENCE, || {
        let service = http::get(stitch.admin(), "/api/services/users", &[]).json();
        service["data"]["counters"]["in_flight"] == 0
    }));
}
