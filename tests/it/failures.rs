//! What callers learn when a service fails: which one, where, why; and that nobody else notices.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Running, Stitch, Upstream, free_port, python, wait_until};

const PATIENCE: Duration = Duration::from_secs(10);

/// A service `broken` that may lead anywhere, and two that work.
struct Shop {
    stitch: Stitch,
    _upstream: Upstream,
}

impl Shop {
    fn with(broken: &str) -> Self {
        let upstream = Upstream::echo();
        let stitch = Stitch::up(&format!(
            "services:\n  broken: {broken}\n  users: {{ url: '{}' }}\n  \
             shop: {{ endpoints: [{{ path: /a, response: shop }}] }}\n",
            upstream.url()
        ));
        Self { stitch, _upstream: upstream }
    }

    fn ask(&self, headers: &[(&str, &str)]) -> Response {
        let headers = [&[("host", "broken")], headers].concat();
        http::get(self.stitch.proxy(), "/a?status=200", &headers)
    }

    /// The problem that the broken service's callers get, while others are answered as ever.
    fn problem(&self, status: u16, reason: &str) -> Value {
        let answer = self.ask(&[]);
        assert_eq!((answer.status, answer.header("x-stitch-reason")), (status, Some(reason)));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!((&problem["status"], &problem["reason"]), (&status.into(), &reason.into()));
        assert_eq!(problem["service"], "broken", "{problem}");
        assert_eq!(problem["type"], format!("urn:stitch:{reason}"));
        for (host, source) in [("users", "real"), ("shop", "mock")] {
            let answer = http::get(self.stitch.proxy(), "/a", &[("host", host)]);
            assert_eq!(answer.header("x-stitch-source"), Some(source), "{host}");
        }
        assert!(self.stitch.exited().is_none());
        problem
    }
}

fn text(problem: &Value, key: &str) -> String {
    problem[key].as_str().unwrap_or_else(|| panic!("no {key} in {problem}")).to_owned()
}

#[test]
fn a_service_that_is_down_is_named_with_its_address_and_the_errno_at_once() {
    let port = free_port();
    let shop = Shop::with(&format!("{{ url: 'http://127.0.0.1:{port}' }}"));
    let start = Instant::now();
    let problem = shop.problem(502, "connect_refused");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let address = format!("127.0.0.1:{port}");
    assert_eq!(
        (text(&problem, "endpoint"), text(&problem, "address")),
        (address.clone(), address.clone())
    );
    // ECONNREFUSED of Linux.
    assert_eq!(problem["errno"], 111);
    let detail = text(&problem, "detail");
    assert!(detail.contains("broken") && detail.contains(&address), "{detail}");
    assert!(text(&problem, "hint").contains("is broken running?"), "{problem}");
}

#[test]
fn an_error_is_text_for_those_who_ask_for_text() {
    let port = free_port();
    let shop = Shop::with(&format!("{{ url: 'http://localhost:{port}' }}"));
    let answer = shop.ask(&[("accept", "text/plain")]);
    assert_eq!(answer.status, 502);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    let text = answer.text();
    for part in ["502", "broken", &format!("localhost:{port}"), "errno: 111", "hint:"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // Programs that take anything get what programs read.
    for accept in ["*/*", "application/json", "application/json, text/plain;q=0.5"] {
        let answer = shop.ask(&[("accept", accept)]);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{accept}");
    }
}

#[test]
fn a_name_that_does_not_resolve_is_said() {
    let shop = Shop::with("{ url: 'http://no-such-host.invalid:81' }");
    let problem = shop.problem(502, "connect_dns");
    assert_eq!(text(&problem, "endpoint"), "no-such-host.invalid:81");
    assert!(text(&problem, "detail").contains("no-such-host.invalid"), "{problem}");
}

/// Reads a request's head, says `bytes`, closes.
fn saying(bytes: &'static str) -> Upstream {
    Upstream::scripted(move |mut stream, _| {
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(count @ 1..) => seen.extend_from_slice(&chunk[..count]),
                _ => return,
            }
        }
        let _ = stream.write_all(bytes.as_bytes());
    })
}

#[test]
fn a_service_that_speaks_something_else_is_told_from_one_that_hangs_up() {
    for (bytes, reason) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "upstream_protocol"),
        ("220 mail.example ESMTP\r\n", "upstream_protocol"),
        ("", "upstream_reset"),
        ("HTTP/1.1 200 OK\r\ncontent-", "upstream_reset"),
    ] {
        let upstream = saying(bytes);
        let shop = Shop::with(&format!("{{ url: '{}' }}", upstream.url()));
        let problem = shop.problem(502, reason);
        let address = upstream.addr().to_string();
        assert_eq!(text(&problem, "endpoint"), address);
        let detail = text(&problem, "detail");
        assert!(detail.contains("broken") && detail.contains(&address), "{bytes:?}: {detail}");
    }
}

#[test]
fn a_service_that_starts_later_works_from_then_on() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let shop = Shop::with(&format!("{{ url: 'http://{address}' }}"));
    let mut early = Connection::open(shop.stitch.proxy());
    for _ in 0..10 {
        let answer = early.request("GET", "/a", &[("host", "broken")], b"");
        assert_eq!(answer.header("x-stitch-reason"), Some("connect_refused"));
    }
    let upstream = Upstream::echo_on(address);
    // The very next request, of a client that has seen it down and of one that has not.
    let answer = early.request("GET", "/a", &[("host", "broken")], b"");
    assert_eq!((answer.status, answer.header("x-stitch-source")), (200, Some("real")));
    assert_eq!(shop.ask(&[]).status, 200);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn ten_thousand_lines_of_garbage_are_refused_counted_and_not_logged() {
    const KINDS: [&str; 5] =
        ["garbage\r\n", "GET\r\n", "\x16\x03\x01\x02\0\r\n", "GET / FTP/1.0\r\n", "\0\0\0\r\n"];
    let shop = Shop::with(&format!("{{ url: 'http://127.0.0.1:{}' }}", free_port()));
    let proxy = shop.stitch.proxy();
    let quiet = shop.stitch.stderr().lines().count();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for garbage in KINDS.iter().cycle().take(2500) {
                    let answer = http::raw(proxy, garbage);
                    let answer = String::from_utf8_lossy(&answer);
                    assert!(answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer:?}");
                }
            });
        }
    });
    // As many at once: the first of them ends the connection.
    let mut flood = Connection::open(proxy);
    let _ = flood.try_send("garbage\r\n".repeat(10_000));
    // The rest of the flood may reset the connection before the answer is read.
    let answers = String::from_utf8_lossy(&flood.read_to_close()).matches("HTTP/1.1 ").count();
    assert!(answers <= 1 && flood.closes_within(PATIENCE), "{answers} answers");

    let series = "stitch_bad_requests_total{reason=\"bad_request\"} 10001";
    let counted = || http::get(shop.stitch.admin(), "/metrics", &[]).text().contains(series);
    assert!(wait_until(PATIENCE, counted), "not counted");
    // Lines are written in order: what comes before this one is all that there was.
    shop.problem(502, "connect_refused");
    shop.stitch.wait_for_stderr(|line| line.contains("connect_refused"));
    let lines = shop.stitch.stderr().lines().count() - quiet;
    assert!(lines <= 5, "{}", shop.stitch.stderr());
}

/// A listener that takes no more connections, so that connecting to it hangs, and its port.
pub(crate) fn full_listener() -> (Running, u64) {
    let script = r#"
import json, socket, time
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(0)
waiting = []
for _ in range(8):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    waiting.append(client)
print(json.dumps({"port": listener.getsockname()[1]}))
time.sleep(60)
"#;
    let running = python(script).spawn();
    let said = running.wait_for_stdout(|line| line["port"].is_u64());
    (running, said["port"].as_u64().unwrap())
}

#[test]
fn connecting_too_slowly_is_a_504_that_names_the_timer() {
    let (_listener, port) = full_listener();
    let url = format!("http://127.0.0.1:{port}");
    let shop = Shop::with(&format!("{{ url: '{url}', timeout: {{ connect: 300ms }} }}"));
    let start = Instant::now();
    let problem = shop.problem(504, "timeout_connect");
    assert!((Duration::from_millis(250)..PATIENCE).contains(&start.elapsed()));
    assert_eq!(text(&problem, "address"), format!("127.0.0.1:{port}"));
    assert!(text(&problem, "detail").contains("300ms"), "{problem}");
}

#[test]
fn answering_too_slowly_is_a_504_and_the_request_is_given_up() {
    let upstream = Upstream::scripted(|mut stream, _| {
        // Reads, and never answers.
        while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
    });
    let shop =
        Shop::with(&format!("{{ url: '{}', timeout: {{ request: 300ms }} }}", upstream.url()));
    let start = Instant::now();
    let problem = shop.problem(504, "timeout_request");
    assert!((Duration::from_millis(250)..PATIENCE).contains(&start.elapsed()));
    assert!(text(&problem, "detail").contains("timeout.request"), "{problem}");
    assert!(wait_until(PATIENCE, || upstream.open_connections() == 0));
}

#[test]
fn a_timeout_of_a_request_does_not_end_an_answer_that_has_begun() {
    let upstream = Upstream::scripted(|mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").unwrap();
        // Waits for longer than the timeout, by a read that nothing answers.
        stream.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
        let _ = stream.read(&mut [0]);
        stream.write_all(b"late").unwrap();
    });
    let shop = Shop::with(&format!("{{ url: '{}', timeout: 200ms }}", upstream.url()));
    let answer = shop.ask(&[]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
}

#[test]
fn a_routes_timeout_overrides_the_services() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "services: {{ users: {{ url: '{}', timeout: 10s }} }}\n\
         routes: [{{ match: /quick, to: users, timeout: 200ms }}, {{ match: /slow, to: users }}]",
        upstream.url()
    ));
    let quick = http::get(stitch.proxy(), "/quick?delay=2000", &[]);
    assert_eq!((quick.status, quick.header("x-stitch-reason")), (504, Some("timeout_request")));
    assert_eq!(http::get(stitch.proxy(), "/slow?delay=400", &[]).status, 200);
}

#[test]
fn a_body_over_the_limit_is_413_whether_or_not_it_says_so() {
    let upstream = Upstream::echo();
    let stitch = Stitch::up(&format!(
        "proxy: {{ limits: {{ body: 1KiB }} }}\nservices: {{ users: {{ url: '{}' }} }}",
        upstream.url()
    ));
    let big = vec![b'x'; 2048];
    let answer = http::send(stitch.proxy(), "POST", "/", &[("host", "users")], &big);
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (413, Some("too_large")));
    assert_eq!(upstream.connections(), 0);
    let chunked = [b"800\r\n", big.as_slice(), b"\r\n0\r\n\r\n"].concat();
    let headers = [("host", "users"), ("transfer-encoding", "chunked")];
    let answer = http::send(stitch.proxy(), "POST", "/", &headers, &chunked);
    assert_eq!((answer.status, answer.header("x-stitch-reason")), (413, Some("too_large")));
    let answer = http::send(stitch.proxy(), "POST", "/", &[("host", "users")], &big[..1024]);
    assert_eq!(answer.json()["body_length"], 1024);
}

/// What a client hears that sends its body only after the answer has come.
fn late_upload(stitch: &Stitch, target: &str, length: usize) -> String {
    let mut client = TcpStream::connect(stitch.proxy()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("POST {target} HTTP/1.1\r\nhost: broken\r\ncontent-length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    assert_eq!(client.peek(&mut [0]).unwrap(), 1, "the answer is there");
    // More than buffers hold, so that it ends only if somebody reads it.
    for _ in 0..length / 65536 {
        client.write_all(&[b'x'; 65536]).unwrap();
    }
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn an_answer_that_comes_before_the_upload_is_heard() {
    let shop = Shop::with(&format!("{{ url: 'http://127.0.0.1:{}' }}", free_port()));
    let heard = late_upload(&shop.stitch, "/a", 16 << 20);
    assert!(heard.starts_with("HTTP/1.1 502 "), "{heard}");
    assert!(heard.contains("connect_refused") && heard.trim_end().ends_with('}'), "{heard}");
    let stitch = Stitch::up(
        "proxy: { limits: { body: 1MiB } }\n\
         services: { broken: { endpoints: [{ path: /a, method: POST, response: 200 }] } }",
    );
    let heard = late_upload(&stitch, "/a", 16 << 20);
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
}

#[test]
fn a_program_that_uploads_first_hears_why_it_was_in_vain() {
    let shop = Shop::with(&format!("{{ url: 'http://127.0.0.1:{}' }}", free_port()));
    let told = python(
        r#"
import os, requests
for _ in range(20):
    answer = requests.post(os.environ["PROXY"] + "/a", headers={"host": "broken"}, data=bytes(8 << 20))
    print(answer.status_code, answer.headers["x-stitch-reason"])
"#,
    );
    let told = told.env("PROXY", shop.stitch.proxy_url()).output().success().stdout;
    assert_eq!(told, "502 connect_refused\n".repeat(20));
}

#[test]
fn one_of_several_urls_being_down_is_said_and_counts_for_its_share_only() {
    let upstream = Upstream::echo();
    let urls = format!("{{ urls: ['{}', 'http://127.0.0.1:{}'] }}", upstream.url(), free_port());
    let shop = Shop::with(&urls);
    let statuses: Vec<_> = (0..40).map(|_| shop.ask(&[]).status).collect();
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 502)), "{statuses:?}");
}

#[test]
fn failures_on_a_kept_connection_leave_it_usable() {
    let shop = Shop::with(&format!("{{ url: 'http://127.0.0.1:{}' }}", free_port()));
    let mut connection = Connection::open(shop.stitch.proxy());
    for _ in 0..3 {
        let answer =
            connection.request("POST", "/a", &[("host", "broken")], b"a body nobody reads");
        assert_eq!(answer.status, 502);
        let answer = connection.request("GET", "/a", &[("host", "shop")], b"");
        assert_eq!(answer.text(), "shop");
    }
}

#[test]
fn what_failed_is_logged_and_counted() {
    let port = free_port();
    let shop = Shop::with(&format!("{{ url: 'http://127.0.0.1:{port}' }}"));
    assert_eq!(shop.ask(&[]).status, 502);
    let line = shop.stitch.wait_for_stderr(|line| line.contains("connect_refused"));
    for part in ["GET", "broken", "502", &format!("127.0.0.1:{port}")] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let metrics = http::get(shop.stitch.admin(), "/metrics", &[]).text();
    for series in [
        "stitch_requests_total{service=\"broken\",source=\"stitch\",status=\"5xx\"} 1",
        "stitch_failures_total{service=\"broken\",reason=\"connect_refused\"} 1",
    ] {
        assert!(metrics.contains(series), "{metrics}");
    }
}
